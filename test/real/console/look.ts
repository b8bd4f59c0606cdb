/**
 * What a page looks like, coarse enough that another release of the browser or of a font changes
 * little: the background, and how much ink is in each cell of a grid. Accepted looks are kept; a
 * layout, a theme or a style sheet that is lost is seen.
 */
import type { Browser, Page } from "playwright-core";

const [COLUMNS, ROWS] = [32, 24];
/** Ink is one of 16, as a hexadecimal digit; text fills a cell to about a third of these. */
const LEVELS = 16;
const GAIN = 4;
/** Cells that may be other by more than two levels: a longer id, an age. */
const OTHER_MAX = 0.06;

/** What is used of a browser's globals: the project has no types of the DOM. */
type Dom = {
  Image: new () => { src: string; width: number; height: number; decode(): Promise<void> };
  document: {
    createElement(name: "canvas"): {
      width: number;
      height: number;
      getContext(kind: "2d", how: object): Drawing | null;
    };
  };
};
type Drawing = {
  drawImage(image: object, x: number, y: number): void;
  getImageData(x: number, y: number, width: number, height: number): { data: Uint8ClampedArray };
};

/** The background's brightness, then a line for each row of cells of the window. */
export async function lookAt(browser: Browser, page: Page): Promise<string[]> {
  const picture = (await page.screenshot()).toString("base64");
  const context = await browser.newContext();
  try {
    const judge = await context.newPage();
    const [background = 0, ...cells] = await judge.evaluate(
      async ({ url, columns, rows, levels, gain }) => {
        const { Image: Picture, document } = globalThis as unknown as Dom;
        const image = new Picture();
        image.src = url;
        await image.decode();
        const canvas = document.createElement("canvas");
        [canvas.width, canvas.height] = [image.width, image.height];
        const drawing = canvas.getContext("2d", { willReadFrequently: true });
        if (drawing === null) throw new Error("no canvas");
        drawing.drawImage(image, 0, 0);
        const [width, height] = [image.width / columns, image.height / rows];
        const all = drawing.getImageData(0, 0, image.width, image.height).data;
        const counts = new Map<number, number>();
        const at = (from: Uint8ClampedArray, i: number): number =>
          Math.round(((from[i] ?? 0) + (from[i + 1] ?? 0) + (from[i + 2] ?? 0)) / 3);
        for (let i = 0; i < all.length; i += 4) {
          const bright = at(all, i);
          counts.set(bright, (counts.get(bright) ?? 0) + 1);
        }
        const [[background] = [0]] = [...counts].sort(([, one], [, other]) => other - one);
        const cells = Array.from({ length: columns * rows }, (_, cell) => {
          const left = Math.floor((cell % columns) * width);
          const top = Math.floor(Math.floor(cell / columns) * height);
          const { data } = drawing.getImageData(left, top, Math.floor(width), Math.floor(height));
          let sum = 0;
          for (let i = 0; i < data.length; i += 4) sum += Math.abs(at(data, i) - background);
          const ink = sum / (data.length / 4) / 255;
          return Math.min(levels - 1, Math.round(ink * gain * (levels - 1)));
        });
        return [Math.round((background / 255) * (levels - 1)), ...cells];
      },
      {
        url: `data:image/png;base64,${picture}`,
        ...{ columns: COLUMNS, rows: ROWS, levels: LEVELS, gain: GAIN },
      },
    );
    const lines = Array.from({ length: ROWS }, (_, row) =>
      cells
        .slice(row * COLUMNS, (row + 1) * COLUMNS)
        .map((level) => level.toString(LEVELS))
        .join(""),
    );
    return [background.toString(LEVELS), ...lines];
  } finally {
    await context.close();
  }
}

/** The share of cells that are other, if that is too much; else `null`. */
export function differenceOf(look: readonly string[], accepted: readonly string[]): string | null {
  if (look[0] !== accepted[0]) return `background ${look[0]}, accepted ${accepted[0]}`;
  const [now, before] = [look.join(""), accepted.join("")];
  if (now.length !== before.length) return `${now.length} cells, accepted ${before.length}`;
  const other = [...now].filter((cell, at) => {
    return Math.abs(parseInt(cell, LEVELS) - parseInt(before[at] ?? "0", LEVELS)) > 2;
  });
  const share = other.length / now.length;
  return share <= OTHER_MAX ? null : `${Math.round(share * 100)} % of the picture is other`;
}
