// Draws the charts of a page from the tables beside them, in the theme's colours.
//
// <canvas data-chart="ID"> draws the table ID. Each column whose head has data-series="--a-colour" is a series.
// Each row is a position on the axis, labelled with its head's data-label or text; data-colour gives it its own colour.
// data-stacked on the canvas stacks the series. Without JavaScript there is only the table.

const { Chart } = window;
const dark = matchMedia("(prefers-color-scheme: dark)");
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const drawn = new Map(); // canvas to chart

// A colour of the theme in a form that a canvas accepts: light-dark() is resolved only on an element that uses it.
function colourOf(name) {
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}

function read(table) {
  const rows = [...table.tBodies[0].rows];
  const labels = rows.map(({ cells: [head] }) => head.dataset.label ?? head.textContent.trim());
  const series = [...table.tHead.rows[0].cells]
    .filter((head) => head.dataset.series)
    .map((head) => ({
      label: head.textContent.trim(),
      data: rows.map((row) => Number(row.cells[head.cellIndex].dataset.value)),
      backgroundColor: rows.map((row) => colourOf(row.dataset.colour ?? head.dataset.series)),
      legendColour: colourOf(head.dataset.series),
    }));
  return { labels, series };
}

function draw(canvas, isAnimated) {
  const { labels, series } = read(document.getElementById(canvas.dataset.chart));
  const [ink, quiet, line, surface] = ["--ink", "--ink-quiet", "--line", "--surface"].map(colourOf);
  const stacked = "stacked" in canvas.dataset;
  const font = { family: getComputedStyle(document.body).fontFamily, size: 12 };
  const ticks = { color: quiet, font };

  drawn.get(canvas)?.destroy();
  canvas.parentElement.hidden = false;
  const chart = new Chart(canvas, {
    type: "bar",
    data: {
      labels,
      datasets: series.map((one) => ({
        ...one,
        borderColor: surface, // a line between stacked bars, for people who can't tell the colours apart
        borderWidth: stacked ? { top: 1 } : 0,
        borderRadius: 3,
        maxBarThickness: 44,
        minBarLength: stacked ? 0 : 2,
      })),
    },
    options: {
      maintainAspectRatio: false,
      animation: isAnimated && !calm.matches ? { duration: 350 } : false,
      scales: {
        x: { stacked, ticks: { ...ticks, maxRotation: 0, autoSkipPadding: 6 }, grid: { display: false }, border: { color: line } },
        y: { stacked, beginAtZero: true, ticks: { ...ticks, precision: 0, maxTicksLimit: 6 }, grid: { color: line }, border: { display: false } },
      },
      interaction: { mode: "index" },
      plugins: {
        legend: {
          display: series.length > 1,
          position: "bottom",
          onClick: null, // hiding a series would not change the table
          labels: {
            color: ink,
            font,
            boxWidth: 12,
            boxHeight: 12,
            generateLabels: () => series.map((one) => ({ text: one.label, fillStyle: one.legendColour, strokeStyle: surface, fontColor: ink })),
          },
        },
        tooltip: { backgroundColor: ink, titleColor: surface, bodyColor: surface, titleFont: font, bodyFont: font, multiKeyBackground: surface },
      },
    },
  });
  drawn.set(canvas, chart);
}

/** Draw the charts within an element, and destroy those whose canvas has left the page. */
export function drawCharts(within = document, isAnimated = false) {
  for (const [canvas, chart] of drawn) {
    if (canvas.isConnected) continue;
    chart.destroy();
    drawn.delete(canvas);
  }
  for (const canvas of within.querySelectorAll("canvas[data-chart]")) draw(canvas, isAnimated);
}

dark.addEventListener("change", () => drawCharts());
drawCharts(document, true);
