/**
 * The one markdown renderer, for text that grows and for text that is stored: the end of an
 * answer changes no pixel.
 *
 * Model output is untrusted. HTML in it is shown as text, links are limited to three schemes, and
 * images become links: loading one would tell a stranger who reads what, and when.
 */
import { defaultRehypePlugins, Streamdown } from "streamdown";

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
const CONTROLS = {
  code: { copy: true, download: false },
  table: false,
  mermaid: false,
  image: false,
};
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

const COMPONENTS = { a: Link, img: ImageLink };
const NO_LINK_MODAL = { enabled: false };

/** @param {{text: string}} props */
export function Markdown({ text }) {
  return (
    <Streamdown
      className="md"
      components={COMPONENTS}
      controls={CONTROLS}
      lineNumbers={false}
      codeBlockMaxHeight={0}
      tableMaxHeight={0}
      linkSafety={NO_LINK_MODAL}
      rehypePlugins={REHYPE_PLUGINS}
    >
      {text}
    </Streamdown>
  );
}
