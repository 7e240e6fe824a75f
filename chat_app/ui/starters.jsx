/**
 * Prompts to start with.
 *
 * @param {object} props
 * @param {Record<string, string>} props.prompts The prompts by what their buttons say. A click
 *   writes one into the composer, where it can still be changed.
 */
export function Starters({ prompts }) {
  return (
    <div className="starters" data-testid="starters">
      {Object.entries(prompts).map(([label, prompt]) => (
        <button
          key={label}
          type="button"
          className="quiet-button"
          onClick={() => window.dispatchEvent(new CustomEvent("chat:write", { detail: prompt }))}
        >
          {label}
        </button>
      ))}
    </div>
  );
}
