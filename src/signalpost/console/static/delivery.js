// The charts of the delivery page: drawn from one address, read again while somebody looks.
"use strict";

const charts = document.querySelectorAll("[data-chart]");
const trendUrl = document.querySelector("[data-trend]").dataset.trend;
const SERIES = { events: [["delivered", "green"], ["failed", "red"]], latency: [["p50", "blue"], ["p95", "amber"]] };
const plots = new Map();

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

function draw(place, trend) {
  const lines = SERIES[place.dataset.chart];
  const data = [trend.times, ...lines.map(([name]) => trend[name])];
  if (plots.has(place)) return plots.get(place).setData(data);
  const axis = { stroke: () => colour("quiet"), grid: { stroke: () => colour("line"), width: 1 }, ticks: { show: false } };
  const unit = place.dataset.chart === "latency" ? " s" : "";
  const options = {
    width: place.clientWidth, height: 180, legend: { show: false }, cursor: { y: false },
    scales: { y: { range: (_, low, high) => [0, Math.max(high ?? 0, 1)] } },
    axes: [axis, { ...axis, size: 58, values: (_, ticks) => ticks.map((tick) => tick.toLocaleString("en") + unit) }],
    series: [{}, ...lines.map(([name, tone]) => ({ label: name, stroke: () => colour(tone), width: 2, points: { size: 5 } }))],
  };
  plots.set(place, new uPlot(options, data, place));
}

async function refresh() {
  if (document.hidden) return;
  const answer = await fetch(trendUrl, { headers: { Accept: "application/json" } });
  if (!answer.ok) return;
  const trend = await answer.json();
  charts.forEach((place) => draw(place, trend));
}

refresh();
setInterval(() => refresh().catch(() => {}), 10_000);
new ResizeObserver(() => plots.forEach((plot, place) => plot.setSize({ width: place.clientWidth, height: 180 }))).observe(document.body);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => plots.forEach((plot) => plot.redraw()));
