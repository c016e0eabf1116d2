// Requests over time: what passed and what was refused, of each minute of the last hour or of each quarter of an hour of the last day.
"use strict";

const SPANS = {minute: [15, 60], hour: [60, 60], day: [96, 900]}; // columns and the seconds of each

const chart = {plot: null, columns: [], shape: ""};

function columnsOf(history, windowName) {
  const [number, seconds] = SPANS[windowName];
  const last = Math.floor(now() / seconds) * seconds;
  const columns = Array.from({length: number}, (_, at) => ({at: last - (number - 1 - at) * seconds, requests: 0, refused: 0, bytes: 0}));
  for (const [minute, requests, refused, bytes] of history) {
    const at = number - 1 - Math.round((last - Math.floor(minute / seconds) * seconds) / seconds);
    if (at < 0 || at >= number) continue;
    columns[at].requests += requests;
    columns[at].refused += refused;
    columns[at].bytes += bytes;
  }
  return columns;
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function showLegend(at) {
  const columns = chart.columns;
  const shown = at === null || at === undefined ? columns : columns.slice(at, at + 1);
  const requests = shown.reduce((sum, each) => sum + each.requests, 0);
  const refused = shown.reduce((sum, each) => sum + each.refused, 0);
  setText(byId("legend-passed"), count(requests - refused));
  setText(byId("legend-refused"), count(refused));
  setText(byId("legend-time"), shown === columns ? "in all" : `at ${clock(shown[0].at, false)} UTC`);
}

function drawn(columns) {
  const box = byId("chart");
  const bars = uPlot.paths.bars({size: [0.82, 40], radius: 0.12});
  const axis = {stroke: colour("--muted"), font: "12px system-ui, sans-serif", grid: {stroke: colour("--soft"), width: 1}, ticks: {show: false}};
  const options = {
    width: box.clientWidth,
    height: box.clientHeight,
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
    legend: {show: false},
    padding: [8, 8, 0, 0],
    cursor: {y: false, drag: {x: false, y: false}, points: {show: false}},
    scales: {x: {time: true, range: (plot, low, high) => { const half = (columns[1].at - columns[0].at) / 2; return [low - half, high + half]; }}, y: {range: (plot, low, high) => [0, Math.max(4, high * 1.08)]}},
    axes: [
      {...axis, grid: {show: false}, space: 70, size: 30, values: (plot, times) => times.map((at) => clock(at, false).slice(-5))},
      {...axis, size: 52, values: (plot, values) => values.map((value) => (Number.isInteger(value) ? (value >= 10000 ? `${whole.format(value / 1000)}k` : whole.format(value)) : ""))},
    ],
    series: [
      {},
      {fill: colour("--passed"), width: 0, paths: bars, points: {show: false}},
      {fill: colour("--refused-fill"), width: 0, paths: bars, points: {show: false}},
    ],
    hooks: {setCursor: [(plot) => showLegend(plot.cursor.idx)]},
  };
  return new uPlot(options, dataOf(columns), box);
}

const dataOf = (columns) => [columns.map((each) => each.at), columns.map((each) => each.requests), columns.map((each) => each.refused)];

function showChart(history, windowName) {
  const box = byId("chart");
  const columns = (chart.columns = columnsOf(history, windowName));
  const shape = `${windowName} ${box.clientWidth} ${box.clientHeight} ${colour("--passed")}`;
  if (chart.shape !== shape) {
    chart.plot?.destroy();
    chart.plot = box.clientWidth ? drawn(columns) : null;
    chart.shape = shape;
  } else chart.plot?.setData(dataOf(columns));
  showLegend(chart.plot?.cursor.idx);
  const requests = columns.reduce((sum, each) => sum + each.requests, 0);
  const refused = columns.reduce((sum, each) => sum + each.refused, 0);
  const top = columns.reduce((best, each) => (each.requests > best.requests ? each : best), columns[0]);
  const most = requests ? `; most at ${clock(top.at, false)} UTC with ${count(top.requests)}` : "";
  byId("chart").setAttribute("aria-label", `${count(requests)} requests in the last ${span(columns.length * (columns[1].at - columns[0].at))}, ${count(refused)} of them refused${most}`);
  const rows = columns.filter((each) => each.requests).reverse();
  showItems(byId("history"), rows, (each) => each.at, () => make("tr", {}, make("td"), make("td", {class: "num"}), make("td", {class: "num"}), make("td", {class: "num"})), (row, each) => {
    [clock(each.at, false), count(each.requests - each.refused), count(each.refused), size(each.bytes)].forEach((text, at) => setText(row.cells[at], text));
  });
}
