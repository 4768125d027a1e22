"use strict";
(function () {
  var figures = JSON.parse(document.getElementById("figures").textContent);
  var phone = window.matchMedia("(max-width: 560px)");
  var dark = window.matchMedia("(prefers-color-scheme: dark)");

  function colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  }
  // Colours are written as "@name"; the page's style sheet knows their values.
  function paint(part) {
    if (typeof part === "string") {
      return part.charAt(0) === "@" ? colour(part.slice(1)) || part : part;
    }
    if (Array.isArray(part)) { return part.map(paint); }
    if (part && typeof part === "object") {
      var painted = {};
      Object.keys(part).forEach(function (key) { painted[key] = paint(part[key]); });
      return painted;
    }
    return part;
  }
  function axes(layout) {
    Object.keys(layout).forEach(function (key) {
      if (/^[xy]axis/.test(key)) {
        layout[key] = Object.assign(
          { gridcolor: colour("line"), zerolinecolor: colour("line"), linecolor: colour("line"), exponentformat: "power" },
          layout[key]
        );
        if (phone.matches) { layout[key].fixedrange = true; }
      }
    });
  }
  // Panels beside each other are too narrow on a phone: put them below each other.
  function stack(layout) {
    var n = Object.keys(layout).filter(function (key) { return /^xaxis[1-9]/.test(key); }).length;
    if (!phone.matches || n < 2 || !layout.yaxis2) { return 1; }
    var gap = 0.32 / n, height = (1 - gap * (n - 1)) / n;
    for (var panel = 1; panel <= n; panel++) {
      var top = 1 - (panel - 1) * (height + gap);
      layout["xaxis" + panel] = Object.assign({}, layout["xaxis" + panel], { domain: [0, 1] });
      layout["yaxis" + panel] = Object.assign({}, layout["yaxis" + panel], {
        domain: [Math.max(0, top - height), top]
      });
    }
    return 0.85 * n;
  }
  // How many lines the legend takes: it stands above the figure, not over it.
  function legendRows(figure) {
    var named = figure.data.filter(function (t) { return t.name && t.showlegend !== false; });
    if (named.length < 2 && !figure.layout.showlegend) { return 0; }
    if (figure.layout.showlegend === false) { return 0; }
    var longest = Math.max.apply(null, named.map(function (t) { return t.name.length; }));
    var width = Math.min(window.innerWidth, 1120) - (phone.matches ? 60 : 120);
    return Math.ceil(named.length / Math.max(1, Math.floor(width / (56 + 7 * longest))));
  }
  function draw(figure) {
    var place = document.getElementById("figure-" + figure.key);
    if (!place) { return; }
    var layout = paint(figure.layout);
    var factor = stack(layout);
    axes(layout);
    var rows = legendRows(figure);
    layout.legend = Object.assign({}, layout.legend, {
      orientation: "h", yref: "container", y: 1, yanchor: "top", x: 0, xanchor: "left"
    });
    layout = Object.assign({
      autosize: true,
      height: Math.round(figure.height * factor) + (phone.matches ? 21 * rows : 0),
      margin: { l: phone.matches ? 44 : 54, r: 14, t: 16 + 21 * rows, b: 46 },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: "system-ui, sans-serif", size: 12.5, color: colour("text") },
      hoverlabel: { font: { size: 12.5 } },
      colorway: [colour("accent")]
    }, layout);
    Plotly.react(place, paint(figure.data), layout, {
      responsive: true, displayModeBar: false, displaylogo: false, scrollZoom: false
    });
  }
  function drawAll() { figures.forEach(draw); }
  drawAll();
  [dark, phone, window.matchMedia("print")].forEach(function (query) {
    query.addEventListener("change", drawAll);
  });
  window.addEventListener("beforeprint", function () {
    document.querySelectorAll("details").forEach(function (d) { d.open = true; });
    drawAll();
  });
  // A figure inside closed details has no width until it is opened.
  document.querySelectorAll("details").forEach(function (d) {
    d.addEventListener("toggle", function () {
      d.querySelectorAll(".plot").forEach(function (p) { Plotly.Plots.resize(p); });
    });
  });
  document.documentElement.dataset.drawn = "yes";
})();
