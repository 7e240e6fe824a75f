/**
 * What a reader can do with a message: the buttons below prompts and answers.
 *
 * Buttons with the class `idle-only` are out of sight and out of reach while the chat is being
 * answered, as a chat has one answer at a time. The style sheet hides them without a render.
 */
import { useEffect, useState } from "react";

const COPIED_MS = 2_000;

export function IconButton({ label, children, ...rest }) {
  return (
    <button type="button" aria-label={label} title={label} {...rest} className={`icon-button ${rest.className ?? ""}`}>
      {children}
    </button>
  );
}

/** @param {{text: string, label: string}} props */
export function CopyButton({ text, label, ...rest }) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return undefined;
    const timer = setTimeout(() => setCopied(false), COPIED_MS);
    return () => clearTimeout(timer);
  }, [copied]);
  return (
    <IconButton {...rest} label={label} onClick={() => copyText(text).then(setCopied)}>
      {copied ? <CheckIcon /> : <CopyIcon />}
      <span className="sr-only" aria-live="polite">{copied ? "Copied" : ""}</span>
    </IconButton>
  );
}

/**
 * Which of several versions of a message is shown, and buttons to the others.
 * @param {object} props
 * @param {number} props.version From 1.
 * @param {number} props.versionCount
 * @param {string} props.previousId Id of the version made before this one; "" for none.
 * @param {string} props.nextId Id of the version made after this one; "" for none.
 * @param {(messageId: string) => void} props.onShow
 */
export function Branches({ version, versionCount, previousId, nextId, onShow }) {
  if (!(versionCount > 1)) return null;
  return (
    <span className="branches idle-only" role="group" aria-label="Versions" data-testid="branches">
      <IconButton label="Previous version" disabled={!previousId} onClick={() => onShow?.(previousId)}>
        <Icon paths={["m15 18-6-6 6-6"]} />
      </IconButton>
      <span className="branch-place">{version}/{versionCount}</span>
      <IconButton label="Next version" disabled={!nextId} onClick={() => onShow?.(nextId)}>
        <Icon paths={["m9 18 6-6-6-6"]} />
      </IconButton>
    </span>
  );
}

/** Copies the text; resolves to whether that worked. Plain-http pages have only the old way. */
export async function copyText(text) {
  if (navigator.clipboard) {
    return navigator.clipboard.writeText(text).then(() => true, () => false);
  }
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "sr-only";
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  return copied;
}

/** A line drawing on a 24 × 24 grid; its button has the name. */
export function Icon({ paths, children }) {
  return (
    <svg width="16" height="16" viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="2" strokeLinecap="round" strokeLinejoin="round" aria-hidden="true">
      {paths?.map((path) => <path key={path} d={path} />)}
      {children}
    </svg>
  );
}

export function CopyIcon() {
  return <Icon paths={["M5 15a2 2 0 0 1-2-2V5a2 2 0 0 1 2-2h8a2 2 0 0 1 2 2"]}><rect x="9" y="9" width="12" height="12" rx="2" /></Icon>;
}

export function CheckIcon() {
  return <Icon paths={["M20 6 9 17l-5-5"]} />;
}

export function EditIcon() {
  return <Icon paths={["M12 20h9", "M16.5 3.5a2.1 2.1 0 0 1 3 3L7 19l-4 1 1-4z"]} />;
}

export function RegenerateIcon() {
  return <Icon paths={["M3 12a9 9 0 0 1 15.5-6.2L21 8", "M21 3v5h-5", "M21 12a9 9 0 0 1-15.5 6.2L3 16", "M3 21v-5h5"]} />;
}
