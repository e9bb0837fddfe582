// Widgets whose fields no captured document shows: they look as our own guess of their fields has it.
// A widget in another form is shown by its name only, as one of an unknown type is.
import { h, rich } from "./dom.js";

const titled = (data, kind, ...content) => h("section", { class: kind },
  data.content_title ? h("h2", {}, data.content_title) : null, ...content);
const picture = (address, description) => h("img", { src: address, alt: description });
const figure = (address, description, caption) => h("figure", {},
  picture(address, description), caption ? h("figcaption", {}, caption) : null);

const image = (data) => h("section", { class: "image" }, figure(data.image, data.description, data.caption));

const video = (data) => titled(data, "video",
  h("video", { src: data.video, controls: true, preload: "none", "aria-label": data.content_title ?? "vídeo" }));

function list(data) {
  const checkbox = data.list_style === "checkbox";
  const items = data.items.map((item) => h("li", {},
    checkbox ? h("input", { type: "checkbox", "aria-label": item.content.replace(/<[^>]*>/g, "") }) : null,
    rich("div", "rich", item.content)));
  return titled(data, "list", h(data.list_style === "numbered" ? "ol" : "ul", { class: data.list_style }, ...items));
}

function flashcards(data) {
  const cards = data.cards.map((card) => {
    const shown = h("button", { class: "card", "aria-pressed": "false", onclick: () => {
      shown.setAttribute("aria-pressed", String(shown.getAttribute("aria-pressed") === "false"));
    } }, rich("div", "front", card.front), rich("div", "back", card.back));
    return shown;
  });
  return titled(data, "flashcards", h("div", { class: "cards" }, ...cards));
}

const gallery = (data) => titled(data, "gallery", h("div", { class: "slides", tabindex: "0" },
  ...data.slides.map((slide) => figure(slide.image, slide.description, slide.caption))));

function hotspots(data) {
  const points = data.hotspots.map((point, number) => {
    const shown = h("button", { class: "point", title: point.title }, String(number + 1));
    shown.style.left = `${point.x}%`;
    shown.style.top = `${point.y}%`;
    return shown;
  });
  const meanings = data.hotspots.map((point) => h("li", {}, h("b", {}, point.title), rich("div", "rich", point.content)));
  return titled(data, "hotspots",
    h("div", { class: "map" }, picture(data.image, data.description), ...points), h("ol", {}, ...meanings));
}

export const feedback = (part) => (part.feedback ? rich("div", "feedback", part.feedback) : null);

export const ASSUMED = {
  "image-1": image, "video-1": video, "list-1": list, "flashcards-1": flashcards, "gallery-1": gallery, "hotspots-1": hotspots,
};
