/** The files that pages need: embedded, named with their digest, so browsers may keep them. */
import { createHash } from "node:crypto";
import plotStyle from "uplot/dist/uPlot.min.css" with { type: "text" };
import plotCode from "uplot/dist/uPlot.iife.min.js" with { type: "text" };
import script from "./browser.js" with { type: "text" };
import chart from "./chart.js" with { type: "text" };
import style from "./style.css" with { type: "text" };

/** A gauge with its needle in the upper range. */
const ICON =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" ' +
  'rx="7" fill="#0b57b3"/><path d="M6 22a10 10 0 0 1 20 0" fill="none" stroke="#fff" ' +
  'stroke-width="3"/>' +
  '<path d="M16 22l6-7" stroke="#fff" stroke-width="3" stroke-linecap="round"/></svg>';

export type Asset = { path: string; type: string; text: string };

function assetOf(name: string, end: string, type: string, text: string): Asset {
  const digest = createHash("sha256").update(text).digest("base64url").slice(0, 12);
  return { path: `/asset/${name}-${digest}.${end}`, type, text };
}

export const ASSETS = {
  style: assetOf("console", "css", "text/css; charset=utf-8", plotStyle + style),
  script: assetOf("console", "js", "text/javascript; charset=utf-8", script),
  /** Loaded by pages with a chart. */
  chart: assetOf("chart", "js", "text/javascript; charset=utf-8", `${plotCode};\n${chart}`),
  icon: assetOf("icon", "svg", "image/svg+xml", ICON),
} as const;
