// The hash routes. A route that cannot be shown leaves the page blank, as the original does.
import { editor } from "./editor.js";
import { h } from "./dom.js";
import { load, logIn, token } from "./session.js";

const root = document.querySelector("#root");
const EMPTY = {
  version: "1.1",
  metadata: { title: "Sem título", description: "", thumb: null, tags: [] },
  interface: {
    content_language: "pt_br", index_option: "buttons", font_family: "Lato",
    show_summary: "disabled", finish_btn: "disabled",
  },
  structure: [],
  assets: [],
};

function home() {
  const open = () => { location.hash = "#/embed/composer"; };
  return h("main", { class: "home" }, h("h1", {}, "Composer"), h("button", { class: "primary", onclick: open }, "Nova composição"));
}

async function view(path) {
  const [, first, second, ...rest] = path.split("/");
  if (first !== "embed") return path === "/home" && token() ? home() : null;
  if (second === "auth-with-token") {
    const [, place, projectUid, accessToken] = rest;
    if (place !== "home" || !accessToken) return null;
    await logIn(projectUid, accessToken);
    location.replace("#/home");
    return null;
  }
  if (second !== "composer" || !token()) return null;
  return editor(rest[0] ?? null, rest[0] ? await load(rest[0]) : structuredClone(EMPTY));
}

async function show() {
  root.replaceChildren();
  document.title = "Composer";
  try {
    const shown = await view(location.hash.slice(1));
    if (shown) root.replaceChildren(shown);
  } catch (problem) {
    console.error(problem.message);
  }
}

addEventListener("hashchange", show);
show();
