/** A prompt on its way, shown where it will stay: nothing moves when the server accepts it. */
import { useSent } from "./sending.js";

/** @param {{accepted: string}} props Id of the newest prompt the server has accepted. */
export function SentPrompt({ accepted }) {
  const sent = useSent();
  if (!sent || sent.editedId || sent.id === accepted) return null;
  return (
    <div className="sent mx-auto w-full max-w-3xl px-4">
      <div className="prompt">
        <div className="bubble" data-testid="sent-prompt">{sent.text}</div>
        <div className="message-foot prompt-foot"><Sending /></div>
      </div>
    </div>
  );
}

/** Appears after a moment: on most networks the server is faster than a reader. */
export function Sending() {
  return <span className="sending details" data-testid="sending">Sending…</span>;
}
