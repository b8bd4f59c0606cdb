/**
 * When two universes are the same: every process that starts in them must act the same. The key
 * holds all that a starting process or its world can read, with instants relative to now. It omits
 * what is only displayed: history rows, closed operations, completed orders and counters of lives.
 */
import type { MemoryDatabase } from "../../../simulator/engine/sql.ts";
import type { World } from "../../world/world.ts";
import type { Story } from "./workflow.ts";

/** What a starting process reads. `lease` only names the newest life. */
const QUERIES = [
  "SELECT doc FROM node ORDER BY id",
  "SELECT doc FROM pool ORDER BY name",
  "SELECT doc FROM operation WHERE state = 'asked' ORDER BY id",
  "SELECT doc FROM command WHERE state = 'accepted' ORDER BY id",
  "SELECT node, received_at, doc FROM inbox ORDER BY id",
  "SELECT node, stream, seq FROM cursor ORDER BY node, stream",
  "SELECT key, value FROM meta WHERE key <> 'probe' ORDER BY key",
  "SELECT kind, node, attempts FROM outbox ORDER BY id",
] as const;

/** Which life wrote a row: every later one is newer, whatever its number. */
const EPOCH = /\\"epoch\\":\d+/g;
/** Wall milliseconds of this century and the ISO texts of reports. */
const INSTANT = /\b1[6-9]\d{11}\b/g;
const ISO = /"(20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z)"/g;

function relative(text: string, now: number): string {
  return text
    .replace(EPOCH, "")
    .replace(INSTANT, (at) => `@${Number(at) - now}`)
    .replace(ISO, (_whole, at: string) => `"@${Date.parse(at) - now}"`);
}

export function rowsOf(database: MemoryDatabase): string {
  // Before the first migration there is no table, and so no row either.
  const [made] = database.rows("SELECT count(*) FROM sqlite_master WHERE name = 'outbox'");
  if (made?.[0] !== 1) return "";
  return JSON.stringify(QUERIES.map((sql) => database.rows(sql)));
}

/** Everything but the rows that a process may meet when it starts. */
function surroundings(world: World, story: Story): string {
  const { instances, tokens, names, fences, pending, due } = world.cloud.world();
  const dues = due.map(({ atMs, kind, id }) => [atMs, kind, id]).sort();
  return JSON.stringify([
    [...instances.values()].map(({ process: _process, ...held }) => held),
    [...tokens],
    [...names],
    [...fences],
    [...pending.values()],
    dues,
    [...world.cloud.faultsLeft()],
    world.scheduler.state(),
    [...world.agents],
    story,
  ]);
}

/** The key of a world as its process would leave it now. */
export function keyOf(world: World, story: Story, rows: string): string {
  const now = world.clock.wallMs();
  const text = relative(`${rows}\n${surroundings(world, story)}`, now);
  return `${Bun.hash(text).toString(36)}.${text.length}`;
}

/** The same without any instant: what a fleet that rests looks like. */
export function shapeOf(world: World, story: Story, rows: string): string {
  const text = relative(`${rows}\n${surroundings(world, story)}`, 0).replaceAll(/@-?\d+/g, "@");
  return Bun.hash(text).toString(36);
}
