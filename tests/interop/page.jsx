/** The page of an application that uses the AI SDK: `useChat` and its messages. */
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { useChat } from "@ai-sdk/react";
import { DefaultChatTransport } from "ai";

import { createResumableFetch } from "../../assets/resumable-fetch.js";

const options = new URL(location.href).searchParams;
const transport = new DefaultChatTransport({
  api: "/api/chat",
  ...(options.has("resumable") && { fetch: createResumableFetch() }),
});

function Page() {
  const { messages, status, error, sendMessage } = useChat({
    id: options.get("chat"),
    resume: true,
    transport,
  });
  return (
    <main data-status={status} data-error={error?.message}>
      {messages.map(({ id, role, parts }) => (
        <p key={id} id={id} data-role={role}>
          {parts.map((part) => (part.type === "text" ? part.text : "")).join("")}
        </p>
      ))}
      <button onClick={() => sendMessage({ text: "Go on" })}>Send</button>
    </main>
  );
}

createRoot(document.body.appendChild(document.createElement("div"))).render(
  <StrictMode>
    <Page />
  </StrictMode>,
);
