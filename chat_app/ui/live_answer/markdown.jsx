/**
 * The one markdown renderer, for text that grows and for text that is stored: the end of an
 * answer changes no pixel.
 *
 * Model output is untrusted. HTML in it is shown as text, links are limited to three schemes, and
 * images become links: loading one would tell a stranger who reads what, and when.
 */
import { useEffect, useMemo, useState } from "react";
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

function Link({ href, children }) {
  if (!href || href === UNFINISHED_LINK) return <span className="md-link">{children}</span>;
  return (
    <a className="md-link" href={href} target="_blank" rel="noopener noreferrer">
      {children}
    </a>
  );
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
  return (
    <Streamdown
      className="md"
      components={COMPONENTS}
      controls={CONTROLS}
      tableMaxHeight={0}
      linkSafety={NO_LINK_MODAL}
      rehypePlugins={REHYPE_PLUGINS}
      plugins={plugins}
    >
      {markdown}
    </Streamdown>
  );
}

/** What renders formulas, once there is one; until it has been fetched they stand as written. */
function useMath(wanted) {
  const [plugins, setPlugins] = useState(math);
  useEffect(() => {
    if (!wanted || plugins) return;
    import("./math.js").then(
      (loaded) => setPlugins((math ??= { math: loaded.math })),
      () => {}, // readable without
    );
  }, [wanted, plugins]);
  return wanted && plugins ? plugins : undefined;
}
