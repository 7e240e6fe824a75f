/**
 * The one Markdown renderer, for growing and for stored text, so that the end of an answer changes
 * no pixel.
 *
 * Model output is untrusted. HTML in it is shown as text, links are limited to three schemes, and
 * images become links, because loading one would tell a third party who is reading what, and when.
 */
import { useEffect, useId, useMemo, useState } from "react";
import { defaultRehypePlugins, Streamdown } from "streamdown";

import { CodeBlock, InlineCode } from "./code_block.jsx";
import { hasFormulas, withDollars } from "./formulas.js";

const [harden] = defaultRehypePlugins.harden;
const REHYPE_PLUGINS = [
  defaultRehypePlugins.sanitize,
  [
    harden,
    {
      allowedProtocols: ["http:", "https:", "mailto:"],
      allowedLinkPrefixes: ["*"],
      allowedImagePrefixes: ["*"],
      allowDataImages: false,
      defaultOrigin: undefined,
    },
  ],
];
const CONTROLS = false;
const UNFINISHED_LINK = "streamdown:incomplete-link";

function Link({ href, id, children, "aria-label": label }) {
  if (!href || href === UNFINISHED_LINK) return <span className="md-link">{children}</span>;
  if (href.startsWith("#")) {
    return (
      <a id={id} className="md-link" href={href} aria-label={label} onClick={jumpToTarget}>
        {children}
      </a>
    );
  }
  return (
    <a className="md-link" href={href} target="_blank" rel="noopener noreferrer">
      {children}
    </a>
  );
}

/** Jumps to a footnote or back from it; the URL stays that of the chat. */
function jumpToTarget(event) {
  event.preventDefault();
  const there = document.getElementById(decodeURIComponent(event.currentTarget.hash.slice(1)));
  if (!there) return;
  if (there.tabIndex < 0) there.tabIndex = -1;
  there.focus();
}

function ImageLink({ src, alt }) {
  return <Link href={src}>{alt || "image"}</Link>;
}

const COMPONENTS = { a: Link, img: ImageLink, code: CodeBlock, inlineCode: InlineCode };
const NO_LINK_MODAL = { enabled: false };

let math = null;

/** @param {{text: string}} props */
export function Markdown({ text }) {
  const plugins = useMath(hasFormulas(text));
  const markdown = useMemo(() => (plugins ? withDollars(text) : text), [plugins, text]);
  const footnotes = useFootnotes(text);
  return (
    <Streamdown
      className="md"
      components={COMPONENTS}
      controls={CONTROLS}
      tableMaxHeight={0}
      linkSafety={NO_LINK_MODAL}
      rehypePlugins={REHYPE_PLUGINS}
      remarkRehypeOptions={footnotes}
      plugins={plugins}
    >
      {markdown}
    </Streamdown>
  );
}

/** Footnotes begin with 1 in every answer, but their ids must be unique on the page. */
function useFootnotes(text) {
  const id = useId().replace(/\W/g, "");
  const some = text.includes("[^");
  return useMemo(() => (some ? { clobberPrefix: `answer-${id}-` } : undefined), [some, id]);
}

/** The formula renderer, fetched once there is a formula; until then formulas stay as written. */
function useMath(wanted) {
  const [plugins, setPlugins] = useState(math);
  useEffect(() => {
    if (!wanted || plugins) return;
    import("./math.js").then(
      (loaded) => setPlugins((math ??= { math: loaded.math })),
      () => {}, // formulas stay readable as written
    );
  }, [wanted, plugins]);
  return wanted && plugins ? plugins : undefined;
}
