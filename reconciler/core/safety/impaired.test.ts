/** Providers that give no machines: told once, to every pool that would buy there. */
import { afterEach, describe, expect, test } from "bun:test";
import { closeWorlds, open, restart, told } from "../../../test/world/story.ts";
import { fleetOf } from "../../../test/world/part.ts";
import { configOf } from "../../../test/world/setting.ts";
import type { Fact } from "../../../schema/safety.ts";
import { providerSightOf } from "../../../test/world/ask.ts";
import type { ProviderSight } from "../fleet.ts";
import { impairmentOf, stepImpaired } from "./impaired.ts";
import { openWorldApp } from "../../../test/world/app.ts";
import { sayWait } from "../say/wait.ts";

afterEach(closeWorlds);

const YAML = `
providers: { fake: {} }
pools:
  - { name: a, provider: fake, instance_type: t, min_nodes: 1, max_nodes: 2 }
  - { name: b, provider: docker, instance_type: t, min_nodes: 0, max_nodes: 2 }
  - { name: c, provider: machine, instance_type: t, min_nodes: 2, max_nodes: 2 }
`;
const NO_ADAPTER = "providers of type docker have no adapter in this version";

describe("a provider at which nothing can be bought", () => {
  test("is a condition of its pools, also of one that wants nothing, and one event each", async () => {
    const w = await open(YAML);
    await w.advance(() => w.serving().length === 1, 600_000);
    const a = openWorldApp(w);
    const conditions = async (pool: string): Promise<unknown> => {
      return (await a.call("GET", `/v1/pools/${pool}/status`)).body["conditions"];
    };
    expect(await conditions("a")).toEqual([]);
    const nothing = "nothing can be bought there";
    expect(await conditions("b")).toEqual([`provider docker: ${nothing}: ${NO_ADAPTER}`]);
    expect(told(w, "pool.condition").map(({ pool, message }) => [pool, message])).toEqual([
      ["b" as never, `provider docker: ${nothing}: ${NO_ADAPTER}`],
      ["c" as never, `provider machine: ${nothing}: ${NO_ADAPTER.replace("docker", "machine")}`],
    ]);
    const page = (await a.call("GET", "/metrics", undefined, null)).text;
    expect(page.split("\n").filter((line) => line.startsWith("navarch_provider_usable"))).toEqual([
      'navarch_provider_usable{provider="fake",type="fake"} 1',
      'navarch_provider_usable{provider="docker",type="docker"} 0',
      'navarch_provider_usable{provider="machine",type="machine"} 0',
    ]);
    await restart(w);
    await w.advance(() => false, 60_000);
    expect(told(w, "pool.condition")).toHaveLength(2);
  });

  test("whose machines do not come up says so while that lasts", async () => {
    const w = await open(YAML);
    await w.advance(() => w.serving().length === 1, 600_000);
    let trouble: string | null = "the agent of i-1 cannot start: exit 127";
    Object.assign(w.cloud, { trouble: () => trouble });
    await w.advance(() => false, 10_000);
    trouble = "the agent of i-2 cannot start: exit 127";
    await w.advance(() => false, 10_000);
    const messages = () =>
      told(w, "pool.condition").flatMap((e) => (e.pool === "a" ? e.message : []));
    expect(messages()).toEqual(["provider fake: the agent of i-1 cannot start: exit 127"]);
    const waits = w.reconciler.lastPlan().waits.filter((wait) => wait.pool === "a");
    expect(waits.map((wait) => sayWait(wait.why))).toEqual([`provider fake: ${trouble}`]);
    trouble = null;
    await w.advance(() => false, 10_000);
    expect(messages().slice(1)).toEqual(["provider fake: nothing is wrong there any more"]);
  });
});

describe("stepImpaired()", () => {
  const config = configOf(YAML);
  const sight = (unavailable: string | null, trouble: string | null = null): ProviderSight =>
    providerSightOf({ unavailable, trouble });
  const fact = (why: string, provider = "fake", at = 5): Fact => ({
    kind: "impaired",
    provider,
    why,
    at,
  });
  const step = (sights: Record<string, ProviderSight>, facts: Fact[] = []) =>
    stepImpaired(fleetOf([], facts), config, new Map(Object.entries(sights)), 9);

  test("what cannot be bought comes before what does not come up", () => {
    expect(impairmentOf(undefined)).toBeNull();
    expect(impairmentOf(sight(null))).toBeNull();
    expect(impairmentOf(sight(null, "t"))).toBe("t");
    expect(impairmentOf(sight("u", "t"))).toBe("u");
  });

  test("is stored once, with when it began, and told to the pools that would buy there", () => {
    const first = step({ fake: sight("no key"), lambda: sight(null) });
    expect(first).toEqual({
      put: [fact("no key", "fake", 9)],
      drop: [],
      pools: [],
      events: [
        {
          at: 9,
          kind: "pool.condition",
          node: null,
          pool: "a" as never,
          session: null,
          actor: "navarch",
          message: "provider fake: nothing can be bought there: no key",
        },
      ],
    });
    expect(step({ fake: sight("no key") }, [fact("no key")])).toMatchObject({
      put: [],
      events: [],
    });
    expect(step({ fake: sight("bad key") }, [fact("no key")]).put).toEqual([fact("bad key")]);
    expect(step({ fake: sight("u", "t") }, [fact("u")]).put).toEqual([]);
  });

  test("which of many machines fails first says nothing new", () => {
    expect(step({ fake: sight(null, "i-2") }, [fact("i-1")])).toMatchObject({
      put: [],
      drop: [],
      events: [],
    });
    expect(step({ fake: sight(null, "i-2") }).events.map(({ message }) => message)).toEqual([
      "provider fake: i-2",
    ]);
  });

  test("its end is told, also where the provider is no more", () => {
    const over = step({ fake: sight(null, null) }, [fact("i-1"), fact("x", "other")]);
    expect(over.drop).toEqual(["impaired:fake", "impaired:other"]);
    expect(over.events.map(({ message }) => message)).toEqual([
      "provider fake: nothing is wrong there any more",
    ]);
    expect(over.put).toEqual([]);
  });

  test("a sentence is cut to what is stored", () => {
    const [put] = step({ fake: sight("x".repeat(501)) }).put;
    expect(put).toEqual(fact("x".repeat(500), "fake", 9));
    const cut = [fact("x".repeat(500))];
    expect(step({ fake: sight("x".repeat(501)) }, cut).put).toEqual([]);
  });
});
