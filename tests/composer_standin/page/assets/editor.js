// The editor: bar with hamburger menu, settings panel, list of versions, and the composition itself.
import { h } from "./dom.js";
import { save, setWorkingCopy, versions } from "./session.js";
import { widget } from "./widgets.js";

const FAMILIES = ["texto", "imagem", "cabecalho", "lista", "galeria", "multimidia", "interatividade", "quiz", "atividades", "marcadores"];

export function editor(uid, composition) {
  setWorkingCopy(composition);
  document.title = `${composition.metadata.title} - Composer`;
  const title = h("span", { class: "title" }, composition.metadata.title);
  const lesson = h("article", { class: "lesson" }, ...composition.structure.map(widget));
  lesson.style.fontFamily = `"${composition.interface.font_family}", sans-serif`;
  const side = h("aside", { class: "side", hidden: true });
  const frame = h("div", { class: "editor" });

  const open = (...content) => { side.replaceChildren(...content); side.hidden = false; };
  const items = {
    "Salvar composição": async () => {
      const saved = await save(uid, composition);
      if (!uid) location.hash = `#/embed/composer/${saved.uid}`;
    },
    "Configurações": () => open(settings(composition, () => {
      title.textContent = composition.metadata.title;
      setWorkingCopy(composition);
      side.hidden = true;
    })),
    "Histórico de versões": async () => {
      const list = uid ? await versions(uid) : [];
      open(h("h2", {}, "Histórico de versões"), h("ol", {}, ...list.map((version) => h("li", {}, version.last_modified))));
    },
    Preview: () => frame.classList.toggle("preview"),
  };
  const menu = h("ul", { class: "menu", role: "menu", hidden: true });
  for (const [text, act] of Object.entries(items)) {
    const run = () => { menu.hidden = true; act(); };
    menu.append(h("li", { role: "none" }, h("button", { role: "menuitem", onclick: run }, text)));
  }
  const hamburger = h("button", { class: "hamburger", "aria-haspopup": "menu", onclick: () => { menu.hidden = !menu.hidden; } }, h("i"), h("i"), h("i"));
  frame.append(
    h("header", { class: "bar" }, hamburger, title, menu),
    h("nav", { class: "families" }, ...FAMILIES.map((name) => h("span", {}, name))),
    h("main", {}, lesson),
    side,
  );
  return frame;
}

function settings(composition, done) {
  const title = h("input", { id: "title", value: composition.metadata.title });
  const description = h("textarea", { id: "description", rows: 4 }, composition.metadata.description ?? "");
  const keep = (event) => {
    event.preventDefault();
    Object.assign(composition.metadata, { title: title.value, description: description.value });
    done();
  };
  return h("form", { onsubmit: keep },
    h("label", { for: "title" }, "Título"), title,
    h("label", { for: "description" }, "Descrição"), description,
    h("button", { class: "primary" }, "Salvar"));
}
