"use strict";
// Two runs held against each other: the statistics of runner/stats/compare.py, in the browser.
// Texts of records only ever become text.
const comparison = (() => {
  // ---- Student's t by the incomplete beta function, its continued fraction by Lentz's method.
  // Source: Abramowitz and Stegun, 26.5.8 and 26.7.1; Lanczos, SIAM J. Numer. Anal. B 1 (1964) 86.
  const LANCZOS = [0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313,
    -176.61502916214059, 12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7];

  function logGamma(x) {
    const base = x - 1;
    const sum = LANCZOS.reduce((total, c, i) => (i === 0 ? c : total + c / (base + i)));
    const t = base + LANCZOS.length - 1.5;
    return 0.5 * Math.log(2 * Math.PI) + (base + 0.5) * Math.log(t) - t + Math.log(sum);
  }

  function fraction(a, b, x) {
    const tiny = 1e-300;
    const safe = (value) => (Math.abs(value) < tiny ? tiny : value);
    let c = 1, d = 1 / safe(1 - ((a + b) * x) / (a + 1)), made = d;
    for (let m = 1; m < 1000; m++) {
      for (const term of [
        (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m)),
        (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1)),
      ]) {
        d = 1 / safe(1 + term * d);
        c = safe(1 + term / c);
        made *= d * c;
      }
      if (Math.abs(d * c - 1) < 1e-15) break;
    }
    return made;
  }

  function incompleteBeta(a, b, x) {
    if (x <= 0 || x >= 1) return x <= 0 ? 0 : 1;
    const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x));
    return x < (a + 1) / (a + b + 2) ? (front * fraction(a, b, x)) / a : 1 - (front * fraction(b, a, 1 - x)) / b;
  }

  // The chance of a t of that size or more, on both sides.
  const twoSided = (freedom, t) => incompleteBeta(freedom / 2, 0.5, freedom / (freedom + t * t));

  function quantile(freedom, level) {
    let low = 0, high = 1;
    while (twoSided(freedom, high) > 1 - level) high *= 2;
    for (let i = 0; i < 200 && high - low > 1e-14 * high; i++) {
      const middle = (low + high) / 2;
      if (twoSided(freedom, middle) > 1 - level) low = middle;
      else high = middle;
    }
    return (low + high) / 2;
  }

  // ---- shifts between two samples of logarithms
  const known = new Map();

  // P(U <= u) of the Mann-Whitney statistic: arrangements counted by which sample is last.
  function rankSums(n, m) {
    const key = `${n} ${m}`;
    if (!known.has(key)) {
      let rows = Array.from({ length: m + 1 }, () => [1]);
      for (let i = 1; i <= n; i++) {
        const next = [[1]];
        for (let j = 1; j <= m; j++) {
          const counts = new Array(i * j + 1).fill(0);
          rows[j].forEach((count, u) => { counts[u + j] += count; });
          next[j - 1].forEach((count, u) => { counts[u] += count; });
          next.push(counts);
        }
        rows = next;
      }
      const every = rows[m].reduce((a, b) => a + b, 0);
      let sum = 0;
      known.set(key, rows[m].map((count) => (sum += count) / every));
    }
    return known.get(key);
  }

  function median(values) {
    const ordered = [...values].sort((a, b) => a - b), half = ordered.length >> 1;
    return ordered.length % 2 ? ordered[half] : (ordered[half - 1] + ordered[half]) / 2;
  }

  function rankShift(a, b, below) {
    const differences = b.flatMap((y) => a.map((x) => y - x)).sort((x, y) => x - y);
    const count = Math.min(differences.filter((d) => d <= 0).length, differences.filter((d) => d >= 0).length);
    return {
      centre: median(differences),
      p: Math.min(1, 2 * below[count]),
      interval(level) {
        const k = below.filter((share) => 2 * share <= (1 - level) * (1 + 1e-9)).length;
        return [differences[k - 1], differences[differences.length - k]];
      },
    };
  }

  function tShift(a, b) {
    const mean = (values) => values.reduce((x, y) => x + y, 0) / values.length;
    const part = (values) => {
      const centre = mean(values);
      return values.reduce((sum, x) => sum + (x - centre) ** 2, 0) / (values.length - 1) / values.length;
    };
    const parts = [part(a), part(b)], sum = parts[0] + parts[1], error = Math.sqrt(sum);
    const freedom = error > 0 ? sum ** 2 / (parts[0] ** 2 / (a.length - 1) + parts[1] ** 2 / (b.length - 1)) : 1;
    const centre = mean(b) - mean(a);
    return {
      centre,
      p: error === 0 ? Number(centre === 0) : twoSided(freedom, Math.abs(centre) / error),
      interval(level) {
        const half = quantile(freedom, level) * error;
        return [centre - half, centre + half];
      },
    };
  }

  function judge(low, high, margin) {
    if (1 / (1 + margin) <= low && high <= 1 + margin) return "same";
    return high < 1 ? "faster" : low > 1 ? "slower" : "ambiguous";
  }

  // Holm's step-down: each interval at the level of the step that decided it.
  function holmLevels(p, level) {
    const levels = new Map();
    let stopped = null;
    [...p.keys()].sort((i, j) => p.get(i) - p.get(j)).forEach((i, step) => {
      const left = p.size - (stopped ?? step);
      if (stopped === null && p.get(i) > (1 - level) / left) stopped = step;
      levels.set(i, 1 - (1 - level) / left);
    });
    return levels;
  }

  // pairs: [launch medians before, launch medians now], each with one launch or more.
  function compareAll(pairs, level, margin) {
    const tested = pairs.flatMap(([a, b], i) => (Math.min(a.length, b.length) > 1 ? [i] : []));
    const strictest = 1 - (1 - level) / Math.max(1, tested.length);
    const shifts = new Map(tested.map((i) => {
      const [a, b] = pairs[i].map((side) => side.map(Math.log));
      const below = rankSums(a.length, b.length);
      return [i, 2 * below[0] <= 1 - strictest ? rankShift(a, b, below) : tShift(a, b)];
    }));
    const levels = holmLevels(new Map([...shifts].map(([i, shift]) => [i, shift.p])), level);
    return pairs.map(([a, b], i) => {
      const shift = shifts.get(i);
      if (!shift) return { ratio: median(b) / median(a), low: null, high: null, verdict: "ambiguous" };
      const [low, high] = shift.interval(levels.get(i)).map((end) => Math.exp(Math.min(end, 700)));
      return { ratio: Math.exp(shift.centre), low, high, verdict: judge(low, high, margin) };
    });
  }

  return { compareAll, median };
})();

(() => {
  const { runs, level, margin } = JSON.parse(document.getElementById("choices").textContent);
  const form = document.getElementById("choice");
  const bySlug = new Map(runs.map((run) => [run.slug, run]));

  const element = (tag, text) => {
    const made = document.createElement(tag);
    made.textContent = text;
    return made;
  };

  for (const select of [form.elements.before, form.elements.now]) {
    select.append(...runs.map((run) => {
      const option = element("option", `${run.id}: ${run.suite}, ${run.where}`);
      option.value = run.slug;
      return option;
    }));
  }

  // ---- a run's numbers are a script of their own, read when they are asked for
  const reading = new Map();
  function numbers(slug) {
    if (!reading.has(slug)) {
      reading.set(slug, new Promise((resolve, reject) => {
        const script = document.createElement("script");
        script.src = `data/${encodeURIComponent(slug)}.js`;
        script.onload = () => resolve(window.runs[slug]);
        script.onerror = () => reject(new Error(`${script.src} cannot be read`));
        document.head.append(script);
      }));
    }
    return reading.get(slug);
  }

  function significant(value, digits) {
    if (value === 0) return "0";
    const rounded = Number(value.toPrecision(digits));
    const exponent = Number(rounded.toExponential().split("e")[1]);
    return rounded.toFixed(Math.max(0, digits - 1 - exponent));
  }

  function numberBox(value, digits, absent) {
    const box = element("td", value === null ? absent : significant(value, digits));
    box.className = value === null ? "number status-not" : "number";
    if (value !== null) box.dataset.value = String(value);
    return box;
  }

  const ms = (cell) => (cell?.medians_s.length ? comparison.median(cell.medians_s) * 1e3 : null);

  function row(now, page, cell, other, found) {
    const made = document.createElement("tr"), label = document.createElement("th");
    label.scope = "row";
    label.className = "name";
    const link = element("a", cell.label);
    link.href = `${page}#${encodeURIComponent(cell.anchor)}`;
    label.append(link);
    const [before, after] = now ? [other, cell] : [cell, other];
    const absent = (one) => one?.status ?? "not there";
    made.append(label, numberBox(ms(before), 3, absent(before)), numberBox(ms(after), 3, absent(after)));
    for (const value of [found?.ratio, found?.low, found?.high]) {
      made.append(numberBox(value ?? null, 4, found ? "none" : "–"));
    }
    made.append(element("td", found ? found.verdict : "no ratio: a side has no number"));
    return made;
  }

  // Cells are the same where label, work and parameters are.
  const key = (cell) => `${cell.work} ${cell.label}`;

  function rows(before, now) {
    const old = new Map(before.cells.map((cell) => [key(cell), cell]));
    const fresh = new Set(now.cells.map(key));
    const pairs = now.cells.map((cell) => [old.get(key(cell)), cell]);
    const both = pairs.filter(([a, b]) => a && a.medians_s.length && b.medians_s.length);
    const found = comparison.compareAll(both.map(([a, b]) => [a.medians_s, b.medians_s]), level, margin);
    const verdicts = new Map(both.map(([, cell], i) => [cell, found[i]]));
    return [
      ...pairs.map(([a, b]) => row(true, now.page, b, a, verdicts.get(b))),
      ...before.cells.filter((cell) => !fresh.has(key(cell))).map((cell) => row(false, before.page, cell, undefined, undefined)),
    ];
  }

  function warnings(before, now) {
    const found = [];
    if (before.where !== now.where) {
      found.push(`Not the same machine and backend: ${before.where} and ${now.where}. ` +
        "These ratios are of machines as much as of what ran on them.");
    }
    if (before.suite !== now.suite) found.push(`Not the same suite: ${before.suite} and ${now.suite}.`);
    if (before.profile !== now.profile) found.push(`Not the same profile: ${before.profile} and ${now.profile}.`);
    return found.map((text) => {
      const made = element("p", text);
      made.className = "text status-not";
      return made;
    });
  }

  function facts(before, now) {
    return [["before", before], ["now", now]].flatMap(([name, run]) => {
      const link = element("a", run.id), box = document.createElement("dd");
      link.href = run.page;
      box.append(link, `, ${run.started}, ${run.where}`);
      return [element("dt", name), box];
    });
  }

  let asked = 0;
  async function show() {
    const mine = ++asked;
    const slugs = [form.elements.before.value, form.elements.now.value];
    history.replaceState(null, "", `#${slugs.join("/")}`);
    const note = document.getElementById("warnings");
    try {
      const [before, now] = await Promise.all(slugs.map(numbers));
      if (mine !== asked) return; // another choice was made meanwhile
      note.replaceChildren(...warnings(before, now));
      document.getElementById("facts").replaceChildren(...facts(before, now));
      new DataTable.Api("#comparison").clear().rows.add(rows(before, now)).draw();
    } catch (error) {
      note.replaceChildren(element("p", String(error.message)));
    }
  }

  // ---- what is compared: as the address says, else the latest run and the one before of its kind
  function choose() {
    const [before, now] = decodeURIComponent(location.hash.slice(1)).split("/");
    const alike = (run) => runs.slice(runs.indexOf(run) + 1)
      .find((other) => other.suite === run.suite && other.where === run.where);
    const chosen = bySlug.get(now) ?? runs.find(alike) ?? runs[0];
    const earlier = bySlug.get(before) ?? alike(chosen) ?? runs[runs.indexOf(chosen) + 1] ?? chosen;
    form.elements.now.value = chosen.slug;
    form.elements.before.value = earlier.slug;
    return show();
  }
  form.addEventListener("change", show);
  form.elements.swap.addEventListener("click", () => {
    const { before, now } = form.elements;
    [before.value, now.value] = [now.value, before.value];
    show();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  addEventListener("hashchange", choose);
  choose();
})();
