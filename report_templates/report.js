"use strict";
(() => {
  const root = document.documentElement;
  const find = (id) => document.getElementById(id);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  root.classList.add("scripted");

  // Theme: the system's, or the reader's choice, remembered where the browser allows it.
  const themes = ["system", "light", "dark"];
  const memory = {
    get() { try { return localStorage.getItem("audit-theme"); } catch { return null; } },
    set(value) { try { localStorage.setItem("audit-theme", value); } catch { /* private mode */ } },
  };
  const setTheme = (name) => {
    const theme = themes.includes(name) ? name : "system";
    root.dataset.theme = theme;
    find("theme-name").textContent = theme;
    memory.set(theme);
  };
  setTheme(memory.get());
  find("theme").addEventListener("click", () => {
    setTheme(themes[(themes.indexOf(root.dataset.theme) + 1) % themes.length]);
  });

  // Deep links: open what the address names, then go there.
  const checks = all("details.check");
  const follow = () => {
    const target = find(location.hash.slice(1));
    if (!target) return;
    if (target.classList.contains("card") && target.hidden) clearGallery();
    if (target.classList.contains("later")) showRest();
    const summary = target.tagName === "DETAILS" ? target.querySelector("summary") : null;
    if (summary) target.open = true;
    target.scrollIntoView();
    (summary ?? target).focus({ preventScroll: true });
  };
  window.addEventListener("hashchange", follow);
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#']");
    if (link && link.hash === location.hash) follow();
  });
  const openEach = (open) => { for (const check of checks) check.open = open; };
  find("open-all")?.addEventListener("click", () => openEach(true));
  find("close-all")?.addEventListener("click", () => openEach(false));

  // Paper shows everything.
  let closed = [];
  window.addEventListener("beforeprint", () => {
    closed = all("details.check:not([open]), details.failure:not([open])");
    for (const one of closed) one.open = true;
  });
  window.addEventListener("afterprint", () => {
    for (const one of closed) one.open = false;
  });

  // Copy buttons; without clipboard access the text is selected instead.
  const say = (text) => {
    const toast = find("toast");
    toast.textContent = text;
    clearTimeout(say.timer);
    say.timer = setTimeout(() => { toast.textContent = ""; }, 2500);
  };
  const select = (node) => {
    const range = document.createRange();
    range.selectNodeContents(node);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
  };
  for (const button of all("button.copy")) {
    button.addEventListener("click", async () => {
      const code = button.parentElement.querySelector("code");
      try {
        await navigator.clipboard.writeText(code.textContent);
        say("Copied");
      } catch {
        select(code);
        say("Selected: press Ctrl+C to copy");
      }
    });
  }

  // Gallery: search, filter, size, maps on the picture.
  const cards = all(".card").map((node) => ({
    node,
    text: node.textContent.toLowerCase(),
    tags: node.dataset.tags,
  }));
  const showRest = () => {
    find("cards").classList.add("whole");
    find("gallery-rest")?.remove();
  };
  const gallery = () => {
    const words = find("gallery-search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const tag = find("gallery-filter").value;
    if (words.length || tag) showRest();
    let shown = 0;
    for (const card of cards) {
      const fits = words.every((word) => card.text.includes(word))
        && (!tag || card.tags.includes(` ${tag} `));
      if (card.node.hidden === fits) card.node.hidden = !fits;
      shown += fits;
    }
    find("gallery-count").textContent =
      shown === cards.length ? `${shown} pairs` : `${shown} of ${cards.length} pairs`;
    find("gallery-none").hidden = shown > 0;
  };
  // A picture that is shown in several places is an image within a symbol.
  const address = (photo) => photo.src
    ?? document.querySelector(`${photo.firstElementChild.getAttribute("href")} image`)
      .getAttribute("href");
  const clearGallery = () => {
    find("gallery-search").value = "";
    find("gallery-filter").value = "";
    gallery();
  };
  if (cards.length) {
    find("gallery-tools").addEventListener("submit", (event) => event.preventDefault());
    find("gallery-search").addEventListener("input", gallery);
    find("gallery-filter").addEventListener("change", gallery);
    find("gallery-rest")?.addEventListener("click", showRest);
    find("gallery-size").addEventListener("change", (event) => {
      find("cards").dataset.size = event.target.value;
    });
    find("overlay").addEventListener("change", (event) => {
      for (const strip of all(".strip")) {
        const photo = strip.querySelector(".photo");
        for (const pane of photo ? all(".heat", strip) : []) {
          pane.style.backgroundImage = event.target.checked ? `url("${address(photo)}")` : "";
        }
      }
      root.classList.toggle("overlaid", event.target.checked);
    });
  }

  // After the browser has gone there by itself, which moves the focus to the body.
  window.addEventListener("load", () => { if (location.hash) setTimeout(follow); });
})();
