// How the widgets look. Types and forms that are not known are shown by name only.
import { ASSUMED, feedback } from "./assumed.js";
import { h, rich } from "./dom.js";

const LETTERS = "ABCDEFGHIJ";

function head(data) {
  const shown = h("header", { class: "head" });
  shown.style.setProperty("--ink", data.primary_color);
  shown.style.setProperty("--ground", data.secondary_color);
  shown.style.setProperty("--ring", data.avatar_border_color);
  if (data.background_image) shown.style.backgroundImage = `url("${encodeURI(data.background_image)}")`;
  if (data.show_category && data.category) shown.append(rich("div", "category", data.category));
  shown.append(h("h1", {}, data.content_title ?? ""));
  if (data.show_divider) shown.append(h("hr"));
  if (data.show_author_name && data.author_name) {
    const names = h("div", {}, rich("div", "name", data.author_name), rich("div", "office", data.author_office));
    const avatar = data.avatar ? h("img", { src: data.avatar, alt: "" }) : null;
    shown.append(h("div", { class: "author" }, avatar, names));
  }
  return shown;
}

function text(data) {
  const shown = h("section", { class: "text" },
    data.content_title ? h("h2", {}, data.content_title) : null, rich("div", "rich", data.content));
  shown.style.backgroundColor = data.background_color;
  shown.style.paddingTop = `${data.padding_top + 28}px`;
  shown.style.paddingBottom = `${data.padding_bottom + 28}px`;
  return shown;
}

function quiz(data) {
  const count = data.questions.length;
  return h("section", { class: "quiz" }, ...data.questions.map((question, number) => {
    const name = `answer-${question.id}`;
    const kind = question.choices.filter((choice) => choice.correct).length > 1 ? "checkbox" : "radio";
    const choices = question.choices.map((choice, place) => h("label", { class: "choice" },
      h("input", { type: kind, name }), h("span", { class: "letter" }, LETTERS[place] ?? ""), rich("div", "rich", choice.text), feedback(choice)));
    return h("fieldset", {},
      h("legend", {}, h("span", { class: "number" }, count > 1 ? `${number + 1}/${count}` : "?"), rich("div", "rich", question.question)),
      ...choices, feedback(question));
  }));
}

const KNOWN = { "head-1": head, "text-1": text, "quiz-1": quiz, ...ASSUMED };

export function widget(data) {
  const draw = KNOWN[data?.type];
  const byName = () => h("section", { class: "unknown" }, String(data?.type));
  try {
    return draw ? draw(data) : byName();
  } catch {
    return byName();
  }
}
