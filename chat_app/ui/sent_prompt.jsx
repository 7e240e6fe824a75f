/** A prompt on its way: it stands where it will stay, so nothing moves when the server has it. */
import { useSent } from "./sending.js";

/** @param {{accepted: string}} props Id of the newest prompt the server has. */
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

/** Not at once: on most networks the server has it before anybody could read this. */
export function Sending() {
  return <span className="sending details" data-testid="sending">Sending …</span>;
}
