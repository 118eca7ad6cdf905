(() => {
  "use strict";
  // The tables are whole without this script; it only helps to find and to order people.
  const tables = [...document.querySelectorAll("table[data-people]")];
  const tools = document.getElementById("people-tools");
  const box = document.getElementById("people-query");
  const decision = document.getElementById("people-decision");
  const status = document.getElementById("people-status");
  if (!tables.length || !tools || !box || !decision || !status) return;

  const rows = tables.flatMap((table) => [...table.tBodies[0].rows]);
  const words = new Map(rows.map((row) => [row, row.textContent.toLocaleLowerCase()]));
  const folded = document.getElementById("people-folded");
  let wasOpen = null;

  const filter = () => {
    const query = box.value.trim().toLocaleLowerCase();
    const wanted = decision.value;
    let shown = 0;
    for (const row of rows) {
      row.hidden = !words.get(row).includes(query)
        || (wanted !== "" && !row.classList.contains(`row-${wanted}`));
      if (!row.hidden) shown += 1;
    }
    const isFiltered = query !== "" || wanted !== "";
    status.textContent = isFiltered ? `${shown} of ${rows.length} shown` : "";
    if (!folded) return;
    if (isFiltered) {
      wasOpen ??= folded.open;
      folded.open = true;
    } else if (wasOpen !== null) {
      folded.open = wasOpen;
      wasOpen = null;
    }
  };

  const number = (text) => parseFloat(text.replace("−", "-").replace(/[<>,\s]/g, ""));
  const compare = (isNumber) => (a, b) => {
    if (!isNumber) return a.localeCompare(b);
    const [x, y] = [number(a), number(b)];
    if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
    return x - y;
  };

  const order = (table, column, header) => {
    const down = header.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", down ? "descending" : "ascending");
    const by = compare(header.classList.contains("number"));
    const text = (row) => row.cells[column].querySelector(".main").textContent;
    const sorted = [...table.tBodies[0].rows].sort((a, b) => by(text(a), text(b)));
    if (down) sorted.reverse();
    table.tBodies[0].append(...sorted);
  };

  for (const table of tables) {
    [...table.tHead.rows[0].cells].forEach((header, column) => {
      const heading = header.querySelector(".heading");
      const button = document.createElement("button");
      button.type = "button";
      const plain = heading.cloneNode(true);
      plain.classList.add("on-paper");
      heading.classList.add("on-screen");
      heading.after(plain);
      button.append(...heading.childNodes);
      button.addEventListener("click", () => order(table, column, header));
      heading.append(button);
    });
  }

  box.addEventListener("input", filter);
  decision.addEventListener("change", filter);
  tools.hidden = false;
})();
