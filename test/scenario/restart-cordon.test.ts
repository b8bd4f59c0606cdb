/**
 * A control plane that was away for longer than a heartbeat's timeout: its agents have begun to wait
 * between their attempts, and come back within their longest pause. None is cordoned for that.
 */
import { afterEach, expect, test } from "bun:test";
import { LIMIT } from "../../schema/limit.ts";
import { poolYaml } from "../world/world.ts";
import { closeWorlds, open, told } from "../world/story.ts";

afterEach(closeWorlds);

const YAML = poolYaml(3).replace("heartbeat_timeout: 30s", "heartbeat_timeout: 15s");

test.each([
  ["comes back within its longest pause", LIMIT.agentPauseMsMax - 5_000, []],
  ["never comes back", Number.POSITIVE_INFINITY, ["node.silent", "node.suspect", "node.cordoned"]],
])("a restart: an agent that %s", async (_, awayMs, story) => {
  const w = await open(YAML);
  await w.until(() => w.serving().length === 3, 120);
  const [late = ""] = w.serving();
  await w.crash();
  await w.clock.pass(600_000);
  w.agent(late).quiet = true;
  await w.start();
  const begun = w.events.length;
  const since = w.clock.monoMs();
  await w.advance(() => w.clock.monoMs() - since >= Math.min(awayMs, 200_000), 300_000);
  w.agent(late).quiet = awayMs === Number.POSITIVE_INFINITY;
  await w.advance(() => false, 60_000);
  const news = w.events.slice(begun).filter(({ node }) => node === late);
  expect(news.map(({ kind }): string => kind)).toEqual(story);
  expect(told(w, "node.cordoned").filter(({ node }) => node !== late)).toEqual([]);
});
