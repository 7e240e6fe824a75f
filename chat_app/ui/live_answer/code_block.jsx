/**
 * A block of code: its language, a switch for long lines, a copy button, and colours.
 *
 * Colours come a moment after the first block of a page and change no size, so nothing moves.
 */
import { createElement, useMemo, useState, useSyncExternalStore } from "react";

import { CopyButton, Icon } from "./actions.jsx";
import { highlighter, subscribe } from "./highlight.js";

const LANGUAGE = /language-(\S+)/;

/** @param {{className?: string, children?: React.ReactNode}} props As Markdown passes them. */
export function CodeBlock({ className, children }) {
  const [wraps, setWraps] = useState(false);
  const language = LANGUAGE.exec(className ?? "")?.[1] ?? "";
  const code = textOf(children).replace(/\n$/, "");
  return (
    <div className="code-block" data-testid="code-block">
      <div className="code-head">
        <span className="code-language">{language}</span>
        <button type="button" className="icon-button" aria-label="Wrap long lines" title="Wrap long lines" aria-pressed={wraps} onClick={() => setWraps(!wraps)}>
          <Icon paths={["M3 6h18", "M3 12h15a3 3 0 0 1 0 6h-4", "m16 16-2 2 2 2", "M3 18h6"]} />
        </button>
        <CopyButton text={code} label="Copy code" />
      </div>
      {/* Focusable, because what scrolls must also scroll by keyboard. */}
      <pre tabIndex={0} className={wraps ? "wraps" : undefined}>
        <Colours code={code} language={language} />
      </pre>
    </div>
  );
}

export function InlineCode({ children }) {
  return <code className="inline-code">{children}</code>;
}

function Colours({ code, language }) {
  const highlight = useSyncExternalStore(subscribe, () => highlighter(language), () => null);
  const tree = useMemo(() => highlight?.(code, language), [highlight, code, language]);
  return <code>{tree ? tree.map(elementOf) : code}</code>;
}

function elementOf(node, index) {
  if (node.type === "text") return node.value;
  const className = node.properties.className?.join(" ");
  return createElement("span", { key: index, className }, node.children.map(elementOf));
}

function textOf(children) {
  return Array.isArray(children) ? children.map(textOf).join("") : typeof children === "string" ? children : "";
}
