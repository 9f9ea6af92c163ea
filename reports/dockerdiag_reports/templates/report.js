"use strict";
(() => {
  const root = document.documentElement;
  const all = (selector) => [...document.querySelectorAll(selector)];
  const say = (text) => { document.getElementById("said").textContent = text; };

  const select = (element) => {
    const range = document.createRange();
    range.selectNodeContents(element);
    const selection = getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
  };

  const copy = async (text, button, source) => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // A sandboxed frame has no clipboard: leave the text selected, for the keyboard to copy.
      if (source) select(source);
      say("Press Ctrl+C to copy the selected text");
      return;
    }
    const label = button.textContent;
    button.textContent = "Copied";
    say("Copied");
    setTimeout(() => { button.textContent = label; }, 1500);
  };

  all("[data-copy]").forEach((button) => button.addEventListener("click", () => {
    const source = document.getElementById(button.dataset.copy);
    copy([...source.querySelectorAll("code")].map((line) => line.textContent).join("\n"), button, source);
  }));

  all("[data-json]").forEach((button) => button.addEventListener("click", () => {
    copy(document.getElementById("dockerdiag-report").textContent, button, null);
  }));

  all("[data-theme-toggle]").forEach((button) => button.addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  }));

  all("[data-open]").forEach((button) => button.addEventListener("click", () => {
    const open = all("details").some((details) => !details.open);
    all("details").forEach((details) => { details.open = open; });
    button.textContent = open ? "Close all" : "Open all";
  }));

  let closed = [];
  addEventListener("beforeprint", () => {
    closed = all("details").filter((details) => !details.open);
    closed.forEach((details) => { details.open = true; });
  });
  addEventListener("afterprint", () => closed.forEach((details) => { details.open = false; }));

  all("button[hidden]").forEach((button) => { button.hidden = false; });
})();
