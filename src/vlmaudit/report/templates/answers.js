(() => {
  "use strict";
  // The table is whole without this script; it only helps to find answers and to order them.
  const table = document.getElementById("answers-table");
  const tools = document.getElementById("answers-tools");
  const all = document.getElementById("answers-all");
  const status = document.getElementById("answers-status");
  if (!table || !tools || !all || !status) return;

  const box = document.getElementById("answers-query");
  const order = document.getElementById("answers-order");
  const outcome = document.getElementById("answers-outcome");
  const prompt = document.getElementById("answers-prompt");
  const condition = document.getElementById("answers-condition");
  const body = table.tBodies[0];
  const rows = [...body.rows];

  // Without case and accents, so that "cafe" finds "Café"; cell by cell, so that no word is found
  // across two of them.
  const folded = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLocaleLowerCase();
  let words = null;

  const filter = () => {
    words ??= new Map(rows.map((row) => [
      row, folded([...row.cells].map((cell) => cell.textContent).join("\n")),
    ]));
    const query = folded(box.value.trim());
    let shown = 0;
    for (const row of rows) {
      row.hidden = (outcome.value !== "" && row.dataset.outcome !== outcome.value)
        || (condition.value !== "" && row.dataset.condition !== condition.value)
        || !row.dataset.prompt.startsWith(prompt.value)
        || !words.get(row).includes(query);
      if (!row.hidden) shown += 1;
    }
    status.textContent = `${shown.toLocaleString("en")} of ${rows.length.toLocaleString("en")} shown`;
  };

  const person = (row) => row.cells[0].textContent;
  const orders = {
    person: (a, b) => person(a).localeCompare(person(b))
      || a.dataset.prompt.localeCompare(b.dataset.prompt),
    prompt: (a, b) => a.dataset.prompt.localeCompare(b.dataset.prompt)
      || person(a).localeCompare(person(b)),
  };

  const sort = () => {
    const by = orders[order.value];
    body.append(...(by ? [...rows].sort(by) : rows));
  };

  box.addEventListener("input", filter);
  for (const choice of [outcome, prompt, condition]) choice.addEventListener("change", filter);
  order.addEventListener("change", sort);
  all.open = true;
  tools.hidden = false;
  filter();
})();
