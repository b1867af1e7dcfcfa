"use strict";
// Without this script the page shows all pictures below each other, and the dividers stay in the middle.
for (const figure of document.querySelectorAll(".compare")) {
  const pair = figure.querySelector(".pair"), range = figure.querySelector("input");
  const show = () => pair.style.setProperty("--split", range.value + "%");
  const drag = (event) => {
    const box = pair.getBoundingClientRect();
    range.value = (100 * (event.clientX - box.left)) / box.width;
    show();
  };
  range.addEventListener("input", show);
  pair.addEventListener("pointerdown", (event) => { pair.setPointerCapture(event.pointerId); drag(event); });
  pair.addEventListener("pointermove", (event) => { if (event.buttons) drag(event); });
  pair.addEventListener("dragstart", (event) => event.preventDefault());
  show();
}
for (const card of document.querySelectorAll(".layers")) {
  const pictures = card.querySelectorAll("img"), buttons = card.querySelectorAll("input");
  const show = () => buttons.forEach((button, place) => { pictures[place].hidden = !button.checked; });
  card.addEventListener("change", show);
  show();
}
