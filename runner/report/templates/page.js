"use strict";
// Tables, charts and saving for every page. Texts of records only ever become text.
(() => {
  const read = (id) => {
    const block = document.getElementById(id);
    return block ? JSON.parse(block.textContent) : null;
  };
  const plots = read("plots-data");

  // ---- tables: a third press brings the first order back; a box without a number comes last
  const boxes = (read) => (settings, column) =>
    new DataTable.Api(settings).column(column, { order: "index" }).nodes().toArray().map(read);
  const words = new Intl.Collator("en", { numeric: true }).compare;
  const numbers = (sign) => (a, b) => (isNaN(a) || isNaN(b) ? isNaN(a) - isNaN(b) : sign * (a - b));
  Object.assign(DataTable.ext.order, {
    words: boxes((box) => box.textContent.trim()),
    numbers: boxes((box) => Number(box.dataset.value)),
  });
  Object.assign(DataTable.ext.type.order, {
    "words-asc": words,
    "words-desc": (a, b) => words(b, a),
    "numbers-asc": numbers(1),
    "numbers-desc": numbers(-1),
  });
  DataTable.ext.errMode = "throw";
  for (const table of document.querySelectorAll("table.sortable")) {
    new DataTable(table, {
      autoWidth: false,
      columnDefs: [
        { targets: ".number", type: "numbers", orderDataType: "numbers", orderSequence: ["desc", "asc", ""] },
        { targets: "_all", type: "words", orderDataType: "words", orderSequence: ["asc", "desc", ""] },
      ],
      layout: { topStart: null, topEnd: null, bottomStart: null, bottomEnd: null },
      order: [],
      orderDescReverse: false,
      ordering: { indicators: false }, // each header has a button of its own
      paging: false,
    });
  }

  // ---- filters: words that must all occur, and choices that must agree
  for (const controls of document.querySelectorAll("form.controls[data-table]")) {
    const table = new DataTable.Api(`#${controls.dataset.table}`);
    for (const choice of controls.querySelectorAll("select[data-key]")) {
      table.search.fixed(choice.dataset.key, (text, boxes, row) =>
        !choice.value || table.row(row).node().dataset[choice.dataset.key] === choice.value);
    }
    const apply = () => table.search(controls.elements.words.value).draw();
    table.on("draw", () => {
      const { recordsDisplay, recordsTotal } = table.page.info();
      controls.querySelector("output").textContent = `${recordsDisplay} of ${recordsTotal} shown`;
    });
    controls.addEventListener("input", apply);
    controls.addEventListener("submit", (event) => event.preventDefault());
    controls.addEventListener("reset", () => setTimeout(apply));
    apply();
  }

  // ---- charts
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  tip.setAttribute("role", "tooltip");
  document.body.append(tip);

  function showTip(handler, event, item, value) {
    tip.hidden = !value;
    if (!value) return;
    const list = document.createElement("dl");
    for (const [name, text] of Object.entries(value)) {
      if (text === "" || text === null || text === "null") continue;
      const dt = document.createElement("dt"), dd = document.createElement("dd");
      dt.textContent = name;
      dd.textContent = String(text);
      list.append(dt, dd);
    }
    tip.replaceChildren(list);
    const { clientX: x, clientY: y } = event;
    tip.style.left = `${Math.max(4, Math.min(x + 12, innerWidth - tip.offsetWidth - 8))}px`;
    tip.style.top = `${y + 16 + tip.offsetHeight > innerHeight ? y - tip.offsetHeight - 8 : y + 16}px`;
  }

  function rowsOf(element) {
    const { kind, panel, cell } = element.dataset;
    if (kind !== "steps") return plots.panels[kind][Number(panel)].rows;
    return plots.series[cell].flatMap((one) => one.ms.map((ms, step) => ({
      launch: one.launch, step, ms,
      kind: one.start !== null && step >= one.start ? "steady" : step < one.warm ? "warm-up" : "measured",
      start: step === one.start ? step : null,
    })));
  }

  function wrapped(label, most) {
    const lines = [];
    for (const line of label.split("\n")) {
      let last = "";
      for (const part of line.split(/(?<=[ ,])/)) {
        if (last && (last + part).trimEnd().length > most) {
          lines.push(last.trimEnd());
          last = "";
        }
        last += part;
      }
      lines.push(last.trimEnd());
    }
    return lines.join("\n");
  }

  async function draw(element) {
    if (element.dataset.drawn) return;
    element.dataset.drawn = "yes";
    const width = () => Math.max(220, element.clientWidth - 4);
    const narrow = () => width() < 500;
    const limit = () => (narrow() ? 150 : 300);
    const rows = rowsOf(element).map((row) => narrow() && row.label ?
      { ...row, label: wrapped(row.label, 24) } : row);
    const specification = structuredClone((plots.specifications?.[element.dataset.kind]) ?? window.specifications[element.dataset.kind]);
    specification.width = width();
    specification.data.find((data) => data.name === "rows").values = rows;
    const signal = (name) => specification.signals?.find((one) => one.name === name);
    const limited = signal("label_limit");
    if (limited) {
      // As for pictures without a browser: charts.label_offset and charts.row_step.
      const lines = Math.max(1, ...rows.map((row) => row.label.split("\n").length));
      limited.value = limit();
      signal("label_offset").value = -6 * (lines - 1);
      signal("y_step").value = Math.max(24, 12 * lines + 10);
    }
    // `ast`: Vega's expressions are interpreted, so that the page's policy can forbid `eval`.
    const { view } = await vegaEmbed(element, specification, {
      mode: "vega",
      ast: true,
      actions: false,
      logLevel: 1, // errors: a chart without any interval is no fault
      renderer: rows.length > 6000 ? "canvas" : "svg",
      tooltip: showTip,
      loader: { load: () => Promise.reject(new Error("a page of a run fetches nothing")) },
    });
    view.description(element.getAttribute("aria-label"));
    const fit = () => {
      if (limited) view.signal("label_limit", limit());
      return view.width(width()).runAsync();
    };
    let last = element.clientWidth;
    new ResizeObserver(() => {
      if (Math.abs(element.clientWidth - last) < 2) return;
      last = element.clientWidth;
      fit();
    }).observe(element);
    element.dataset.drawn = "done";
    element.view = view;
  }

  const near = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      near.unobserve(entry.target);
      draw(entry.target);
    }
  }, { rootMargin: "300px" });
  addEventListener("load", () => {
    if (typeof vegaEmbed === "undefined") return;
    document.querySelectorAll(".chart").forEach((chart) => near.observe(chart));
  });

  // ---- saving: made here, from what the page holds
  function save(name, type, text) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  function samples(records) {
    const lines = ["launch,status,samples,kind,step,seconds"];
    const quoted = (text) => `"${String(text).replaceAll('"', '""')}"`;
    for (const record of records) {
      for (const one of record.samples) {
        const start = [record.launch + 1, record.status, quoted(one.name)].join(",");
        lines.push(`${start},first,0,${one.first_s}`);
        one.warmup_s.forEach((seconds, step) => lines.push(`${start},warm-up,${step},${seconds}`));
        one.measured_s.forEach((seconds, step) => lines.push(`${start},measured,${step},${seconds}`));
      }
    }
    return lines.join("\n") + "\n";
  }

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-save]");
    if (!button) return;
    const { save: what, cell } = button.dataset;
    if (what === "picture") {
      const chart = button.closest("figure").querySelector(".chart");
      await draw(chart);
      if (!chart.view) return;
      const svg = (await chart.view.toSVG()).replaceAll("currentColor", getComputedStyle(document.body).color);
      save(`${chart.dataset.kind}.svg`, "image/svg+xml", svg);
      return;
    }
    const all = read("records");
    const records = cell ? all[cell] : Object.values(all).flat();
    const name = cell || "run";
    if (what === "samples") save(`${name}-samples.csv`, "text/csv", samples(records));
    if (what === "records") save(`${name}.jsonl`, "application/jsonl", records.map((one) => JSON.stringify(one) + "\n").join(""));
  });

  // ---- a link to a cell opens it
  function open() {
    const id = decodeURIComponent(location.hash.slice(1));
    const target = id && document.getElementById(id);
    if (!target) return;
    const details = target.querySelector("details");
    if (details) details.open = true;
    target.scrollIntoView();
    (details?.querySelector("summary") || target).focus({ preventScroll: true });
  }
  addEventListener("hashchange", open);
  open();
})();
