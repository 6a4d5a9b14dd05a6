// What a browser with script gets more: answers of the playground as they are made. Everything works without.
"use strict";

(() => {
  const form = document.getElementById("playground");
  if (!form || !window.fetch || !window.ReadableStream) return;
  const at = (id) => document.getElementById(id);
  const text = at("answer-text");
  const button = form.querySelector("button[type=submit]");

  const show = (facts) => {
    if (facts.piece) text.textContent += facts.piece;
    if (facts.place !== undefined) at("answer-place").textContent = facts.place;
    if (facts.policy !== undefined) at("answer-policy").textContent = facts.policy;
    if (facts.request_id !== undefined) at("answer-request").textContent = facts.request_id || "–";
    if (facts.milliseconds !== undefined) at("answer-milliseconds").textContent = facts.milliseconds;
    if (facts.usage) {
      at("answer-input").textContent = facts.usage.prompt_tokens ?? "–";
      at("answer-output").textContent = facts.usage.completion_tokens ?? "–";
    }
    if (facts.error) at("refused").textContent = `${facts.error} ${facts.said}`.trim();
  };

  const clear = () => {
    for (const id of ["refused", "answer-text", "answer-place", "answer-policy", "answer-request", "answer-input",
      "answer-output", "answer-milliseconds"]) at(id).textContent = "";
    at("answer").hidden = false;
  };

  const read = async (response) => {
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      lines.filter(Boolean).forEach((line) => show(JSON.parse(line)));
    }
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const body = new URLSearchParams(new FormData(form));
    button.disabled = true;
    text.setAttribute("aria-busy", "true");
    try {
      const response = await fetch(form.dataset.stream, { method: "POST", body, redirect: "manual" });
      if (!response.ok) {
        // The plain form knows how to say what is wrong: a field, a session that ended.
        form.submit();
        return;
      }
      clear();
      await read(response);
    } catch {
      show({ error: form.dataset.failed, said: "" });
    } finally {
      button.disabled = false;
      text.removeAttribute("aria-busy");
    }
  });
})();
