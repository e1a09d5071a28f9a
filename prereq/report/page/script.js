"use strict";
// Filters of the answers. Without a script they stay hidden, and every answer is shown.
for (const section of document.querySelectorAll(".examples")) {
  const form = section.querySelector("form");
  const fields = form.elements;
  const examples = [...section.querySelectorAll(".example")];
  const show = () => {
    const text = fields.text.value.trim().toLowerCase();
    const sought = text || fields.who.value || fields.grade.value || fields.split.value;
    let shown = 0;
    for (const example of examples) {
      const answers = [...example.querySelectorAll("li")];
      const fits = answers.some((answer) =>
        (!fields.grade.value || answer.dataset.grade === fields.grade.value) &&
        [...answer.querySelectorAll("[data-who]")].some(
          (who) => !fields.who.value || who.dataset.who === fields.who.value));
      const there = fits &&
        (!fields.split.value || example.dataset.split === fields.split.value) &&
        (!text || example.textContent.toLowerCase().includes(text));
      example.hidden = !there;
      if (sought) example.open = there;
      shown += there;
      for (const who of example.querySelectorAll("[data-who]")) {
        who.classList.toggle("sought", who.dataset.who === fields.who.value);
      }
    }
    form.querySelector("output").value = `${shown} of ${examples.length}`;
  };
  form.addEventListener("input", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  show();
}
// A link into something folded opens it.
const open = () => {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let place = target; place; place = place.parentElement) {
    if (place.tagName === "DETAILS") place.open = true;
  }
  if (target) target.scrollIntoView();
};
addEventListener("hashchange", open);
open();
