/**
 * What of a page has changed since it was last sent: whole blocks, or rows of a table. Keeps only
 * digests of what was sent, so that many pages fit into memory. Pure.
 */
import { createHash } from "node:crypto";

/**
 * A region with its heading, split at its rows: what is before and after them, and each row. The
 * live stream sends only the rows that differ.
 */
export type Region = {
  id: string;
  before: string;
  rows: readonly { id: string; html: string }[];
  after: string;
};

export const joinRegion = ({ before, rows, after }: Region): string =>
  `${before}${rows.map((row) => row.html).join("")}${after}`;

type Part = { id: string; frame: string; rows: ReadonlyMap<string, string> };

export type Snapshot = { version: string; title: string; parts: readonly Part[] };

export type Patch = {
  version: string;
  title: string;
  blocks: readonly (
    | { id: string; html: string }
    /** `rows` are new or changed; `order` has all ids, if that changed too. */
    | { id: string; rows: readonly string[]; order: readonly string[] | null }
  )[];
};

const digest = (text: string): string =>
  createHash("sha1").update(text).digest("base64url").slice(0, 16);

export function snapshotOf(title: string, regions: readonly Region[]): Snapshot {
  const parts = regions.map(({ id, before, rows, after }) => {
    const frame = digest(`${before}\n${after}`);
    return { id, frame, rows: new Map(rows.map((row) => [row.id, digest(row.html)])) };
  });
  const all = parts.map(({ id, frame, rows }) => [id, frame, ...rows].join());
  return { version: digest([title, ...all].join("\n")), title, parts };
}

/** `null` = blocks were added, removed or moved: the page is sent whole. */
export function diff(before: Snapshot, now: Snapshot, regions: readonly Region[]): Patch | null {
  if (before.parts.map(({ id }) => id).join() !== now.parts.map(({ id }) => id).join()) return null;
  const blocks: Patch["blocks"][number][] = [];
  for (const [at, region] of regions.entries()) {
    const [old, next] = [before.parts[at], now.parts[at]];
    if (old === undefined || next === undefined) return null;
    const { id } = region;
    if (old.frame !== next.frame) {
      blocks.push({ id, html: joinRegion(region) });
      continue;
    }
    const rows = region.rows.filter((row) => old.rows.get(row.id) !== next.rows.get(row.id));
    const ids = [...next.rows.keys()];
    const order = [...old.rows.keys()].join() === ids.join() ? null : ids;
    if (rows.length === 0 && order === null) continue;
    blocks.push({ id, rows: rows.map((row) => row.html), order });
  }
  return { version: now.version, title: now.title, blocks };
}
