// Charts: each place says where its numbers are and which lines to draw; they are read again while somebody looks.
"use strict";

const LINES = { events: [["delivered", "green"], ["failed", "red"]], latency: [["p95", "amber"], ["p50", "blue"]] };
const HEIGHT = 180;
const plots = new Map();

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const show = (options) => (second) => new Date(second * 1000).toLocaleString("en-GB", options);

function tellTimes(plot, ticks) {
  const [first, last] = [plot.scales.x.min, plot.scales.x.max];
  const day = { day: "numeric", month: "short" }, time = { hour: "2-digit", minute: "2-digit" };
  return ticks.map(show(last - first > 2 * 86_400 ? day : time));
}

function draw(place, trend) {
  const lines = LINES[place.dataset.chart];
  // A line along zero would only hide the others.
  const data = [trend.times, ...lines.map(([name]) => (trend[name].some(Boolean) ? trend[name] : trend[name].map(() => null)))];
  if (plots.has(place)) return plots.get(place).setData(data);
  const axis = {
    stroke: () => colour("quiet"), font: '12px "Inter", sans-serif',
    grid: { stroke: () => colour("line"), width: 1 }, ticks: { show: false },
  };
  const isTime = place.dataset.chart === "latency";
  const options = {
    width: place.clientWidth, height: HEIGHT, legend: { show: false }, cursor: { y: false },
    scales: { y: { range: (_, low, high) => [0, Math.max((high ?? 0) * 1.08, isTime ? 1 : 5)] } },
    axes: [
      { ...axis, values: tellTimes, space: 70, size: 30 },
      { ...axis, size: 58, values: (_, ticks) => ticks.map((tick) => tick.toLocaleString("en") + (isTime ? " s" : "")) },
    ],
    series: [{}, ...lines.map(([name, tone]) => (
      { label: name, stroke: () => colour(tone), width: 2, points: { show: false }, fill: () => colour(`${tone}-soft`) + "80" }
    ))],
  };
  plots.set(place, new uPlot(options, data, place));
}

async function refresh() {
  if (document.hidden) return;
  const byUrl = Map.groupBy(document.querySelectorAll("[data-trend]"), (place) => place.dataset.trend);
  for (const [url, places] of byUrl) {
    const answer = await fetch(url, { headers: { Accept: "application/json" } });
    if (!answer.ok) return;
    const trend = await answer.json();
    places.forEach((place) => draw(place, trend));
  }
}

refresh();
setInterval(() => refresh().catch(() => {}), 10_000);
new ResizeObserver(() => plots.forEach((plot, place) => plot.setSize({ width: place.clientWidth, height: HEIGHT }))).observe(document.body);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => plots.forEach((plot) => plot.redraw()));
