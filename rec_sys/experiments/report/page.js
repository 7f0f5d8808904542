"use strict";
// Which part the models were fitted on.
const views = [...document.querySelectorAll("div.view")];
const buttons = [...document.querySelectorAll("nav button")];
function show(name) {
  views.forEach((view) => { view.hidden = view.dataset.view !== name; });
  buttons.forEach((button) => button.classList.toggle("on", button.dataset.view === name));
}
buttons.forEach((button) => button.addEventListener("click", () => show(button.dataset.view)));
if (views.length) show(views[0].dataset.view);

// A click on a table's head sorts by that column, a second one the other way round.
document.querySelectorAll("table.sortable").forEach((table) => {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.addEventListener("click", () => {
    const down = head.dataset.down !== "true";
    heads.forEach((other) => delete other.dataset.down);
    head.dataset.down = down;
    const value = (row) => {
      const cell = row.cells[column];
      const number = parseFloat(cell.dataset.value ?? cell.textContent);
      return Number.isNaN(number) ? (column ? -Infinity : cell.textContent) : number;
    };
    const rows = [...table.tBodies[0].rows].sort((a, b) => (value(a) < value(b) ? -1 : value(a) > value(b) ? 1 : 0));
    if (down) rows.reverse();
    rows.forEach((row) => table.tBodies[0].append(row));
  }));
});

// Pointing at a model anywhere shows it everywhere.
document.querySelectorAll("svg g[data-model]").forEach((mark) => {
  const figures = mark.closest(".figures, figure");
  mark.addEventListener("mouseenter", () => {
    figures.classList.add("picking");
    figures.querySelectorAll("[data-model]").forEach((other) => {
      other.classList.toggle("picked", other.dataset.model === mark.dataset.model);
    });
  });
  mark.addEventListener("mouseleave", () => figures.classList.remove("picking"));
});
