"use strict";
// Draws a run from the events in #events; see TraceEvent in html.py. Text from the run goes in by textContent only.
(() => {
  const events = JSON.parse(document.getElementById("events").textContent);
  const view = document.getElementById("view");
  const make = (tag, attributes = {}, text = "", parent = view) => {
    const svg = ["svg", "circle", "line", "text", "rect", "g"].includes(tag);
    const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    if (text !== "") made.textContent = text;
    parent.append(made);
    return made;
  };
  const end = events.reduce((most, e) => Math.max(most, e[0], e[3].until || 0), 0.001);
  const start = events.length ? events[0][0] : 0;
  const of = (kind) => events.filter((e) => e[1] === kind);
  const states = of("state"), messages = of("message"), faults = of("fault"), calls = of("call"), notes = of("note");
  const nodes = [...new Set(states.map((e) => e[2]))].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  const colours = { leader: "#3c9d57", candidate: "#d69a2d", "pre-candidate": "#d69a2d", follower: "#6aa5d8", down: "#999" };

  const bar = make("p");
  const play = make("button", {}, "play", bar);
  const back = make("button", {}, "◀ event", bar), forth = make("button", {}, "event ▶", bar);
  const speed = make("select", {}, "", bar);
  for (const times of [0.001, 0.01, 0.1, 1, 5]) make("option", { value: times }, times + "×", speed);
  speed.value = "0.1";
  const clock = make("b", { style: "margin-left:1rem" }, "", bar);
  const slider = make("input", { type: "range", min: 0, max: 100000, value: 0, style: "width:100%" });

  // The whole run at a glance: roles by node, with faults above them.
  const W = 1100, lane = 18, top = 16;
  const over = make("svg", { viewBox: `0 0 ${W} ${top + lane * nodes.length + 4}`, width: "100%" });
  const x = (at) => 90 + ((at - start) / (end - start)) * (W - 95);
  for (const f of faults) {
    make("rect", { x: x(f[0]), y: 2, width: Math.max(x(f[3].until || f[0]) - x(f[0]), 2), height: 10, fill: "#d8433b",
      "fill-opacity": 0.5 }, "", over);
  }
  nodes.forEach((node, row) => {
    const own = states.filter((e) => e[2] === node);
    make("text", { x: 0, y: top + row * lane + 13 }, node, over);
    own.forEach((e, i) => {
      const until = i + 1 < own.length ? own[i + 1][0] : end;
      if (i + 1 < own.length && x(until) - x(e[0]) < 0.02) return;
      make("rect", { x: x(e[0]), y: top + row * lane, width: Math.max(x(until) - x(e[0]), 0.3), height: lane - 4,
        fill: colours[e[3].role] || "#bbb" }, "", over);
    });
  });
  const cursor = make("line", { y1: 0, y2: top + lane * nodes.length, style: "stroke:#d8433b;stroke-opacity:1" }, "", over);

  const picture = make("svg", { viewBox: "0 0 1100 420", width: "100%" });
  const table = make("table"), lists = make("div", { style: "display:flex;gap:2rem;flex-wrap:wrap" });
  const place = (i) => {
    const angle = (2 * Math.PI * i) / Math.max(nodes.length, 1) - Math.PI / 2;
    return [550 + 380 * Math.cos(angle), 210 + 160 * Math.sin(angle)];
  };
  const latest = (list, now) => { // the last event at or before now; list is sorted
    let lo = 0, hi = list.length;
    while (lo < hi) { const mid = (lo + hi) >> 1; if (list[mid][0] <= now) lo = mid + 1; else hi = mid; }
    return lo - 1;
  };
  const byNode = new Map(nodes.map((node) => [node, states.filter((e) => e[2] === node)]));

  const show = (list, title, now, count, render) => {
    const box = make("div", { style: "flex:1;min-width:20rem" }, "", lists);
    make("h3", {}, title, box);
    const pre = make("pre", {}, "", box);
    const at = latest(list, now);
    pre.textContent = list.slice(Math.max(0, at - count + 1), at + 1).reverse().map(render).join("\n") || "none";
  };
  let now = start;
  const draw = () => {
    clock.textContent = now.toFixed(6) + " s";
    slider.value = String(((now - start) / (end - start)) * 100000);
    cursor.setAttribute("x1", x(now)); cursor.setAttribute("x2", x(now));
    picture.replaceChildren(); table.replaceChildren(); lists.replaceChildren();
    const head = make("tr", {}, "", table);
    for (const name of ["node", "role", "term", "commit", "applied", "last"]) make("th", {}, name, head);
    const flying = messages.slice(0, latest(messages, now) + 1).slice(-4000)
      .filter((e) => (e[3].until == null ? now - e[0] < 0.01 : e[3].until >= now));
    for (const e of flying) {
      const a = nodes.indexOf(e[2]), b = nodes.indexOf(e[3].to);
      if (a < 0 || b < 0) continue;
      const [ax, ay] = place(a), [bx, by] = place(b);
      const part = Math.min((now - e[0]) / (((e[3].until == null ? e[0] + 0.01 : e[3].until) - e[0]) || 1e-9), 1);
      const lost = e[3].until == null;
      make("line", { x1: ax, y1: ay, x2: bx, y2: by }, "", picture);
      make("circle", { cx: ax + (bx - ax) * part, cy: ay + (by - ay) * part, r: 4, fill: lost ? "#d8433b" : "#888" },
        "", picture);
      make("text", { x: ax + (bx - ax) * part + 6, y: ay + (by - ay) * part - 5 }, (e[3].text || "").split(" ")[1] || "", picture);
    }
    nodes.forEach((node, i) => {
      const own = byNode.get(node), at = latest(own, now);
      const data = at < 0 ? { role: "down" } : own[at][3];
      const [cx, cy] = place(i);
      make("circle", { cx, cy, r: 30, fill: colours[data.role] || "#bbb" }, "", picture);
      make("text", { x: cx - 24, y: cy + 46 }, `${node} ${data.role}`, picture);
      make("text", { x: cx - 24, y: cy + 4 }, data.term === undefined ? "" : `t${data.term}`, picture);
      const row = make("tr", {}, "", table);
      for (const value of [node, data.role, data.term, data.commit, data.applied, data.last]) {
        make("td", {}, value === undefined ? "" : String(value), row);
      }
    });
    const active = faults.filter((f) => f[0] <= now && (f[3].until || f[0]) >= now);
    make("p", {}, "faults now: " + (active.map((f) => f[3].text).join("; ") || "none"), lists);
    show(messages, "messages", now, 14, (e) => `${e[0].toFixed(6)} ${e[2]} → ${e[3].to} ${e[3].text}` +
      (e[3].until == null ? "  lost" : ""));
    show(calls, "calls", now, 14, (e) => `${e[0].toFixed(6)} ${e[2]} ${e[3].text}` +
      (e[3].until != null && e[3].until <= now ? ` → ${e[3].result}` : " …"));
    show(notes, "notes", now, 14, (e) => `${e[0].toFixed(6)} ${e[2]} ${e[3].text}`);
  };
  const go = (to) => { now = Math.min(Math.max(to, start), end); draw(); };
  slider.addEventListener("input", () => go(start + (slider.value / 100000) * (end - start)));
  over.addEventListener("click", (e) => {
    const box = over.getBoundingClientRect();
    go(start + ((((e.clientX - box.left) / box.width) * W - 90) / (W - 95)) * (end - start));
  });
  forth.addEventListener("click", () => { const at = latest(events, now) + 1; if (at < events.length) go(events[at][0]); });
  back.addEventListener("click", () => {
    let at = latest(events, now);
    while (at > 0 && events[at][0] >= now) at -= 1;
    if (at >= 0) go(events[at][0]);
  });
  let before = null;
  const tick = (stamp) => {
    if (before === null) return;
    go(now + ((stamp - before) / 1000) * Number(speed.value));
    before = stamp;
    if (now >= end) stop(); else requestAnimationFrame(tick);
  };
  const stop = () => { before = null; play.textContent = "play"; };
  play.addEventListener("click", () => {
    if (before !== null) { stop(); return; }
    play.textContent = "pause"; before = performance.now(); requestAnimationFrame(tick);
  });
  document.addEventListener("keydown", (e) => {
    if (e.key === "ArrowRight") forth.click();
    if (e.key === "ArrowLeft") back.click();
  });
  draw();
})();
