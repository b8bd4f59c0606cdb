/** How prices and capacity are read: how often, of what, and what is left after a failure. */
import { expect, test } from "bun:test";
import { VirtualClock } from "../../simulator/engine/clock.ts";
import { configOf } from "../../test/world/setting.ts";
import type { Offered, OffersAnswer, Place, Provider } from "../core/provider.ts";
import { OfferWatch } from "./watch-offers.ts";

const MINUTE_MS = 60_000;
const YAML = `
server: { address: "127.0.0.1:1" }
providers: { cloud: { type: command, command: /bin/true }, idle: { type: command, command: /bin/true } }
pools:
  - { name: p, provider: cloud, region: r, instance_type: t, scaling: { min_nodes: 1, max_nodes: 1 } }
  - { name: q, provider: cloud, region: r, instance_type: t, scaling: { min_nodes: 1, max_nodes: 1 } }
`;

async function open() {
  const clock = new VirtualClock();
  const config = configOf(YAML);
  const asked: Place[][] = [];
  const story = { next: null as OffersAnswer | null, news: 0 };
  const offers = (places: readonly Place[]): Promise<OffersAnswer> => {
    asked.push([...places]);
    return Promise.resolve(story.next ?? { kind: "ok", offers: places.map((one) => sold(one)) });
  };
  const provider = (name: string) => ({ name, type: "command", offers }) as unknown as Provider;
  const providers = new Map(["cloud", "idle"].map((name) => [name, provider(name)]));
  const watch = new OfferWatch({ providers, config }, clock, () => void story.news++);
  const pass = async (ms: number, resting: string[] = []) => {
    for (let at = 0; at < ms; at += 1_000) {
      watch.look(new Set(resting));
      await clock.pass(1_000);
    }
  };
  return { watch, asked, story, pass, clock };
}

const sold = (place: Place, over: Partial<Offered> = {}): Offered => ({
  ...place,
  pricePerHour: 2,
  available: true,
  ...over,
});

test("each place is read once a minute, however many pools name it, and sooner while one rests", async () => {
  const { watch, asked, pass, story } = await open();
  expect(watch.seen("cloud")).toBeNull();
  await pass(3 * MINUTE_MS);
  expect(asked.map((places) => places.length)).toEqual([1, 1, 1]);
  expect(watch.seen("cloud")?.get("cloud/r//t")).toMatchObject({
    pricePerHour: 2,
    available: true,
  });
  expect(story.news).toBe(1);
  await pass(MINUTE_MS, ["cloud"]);
  expect(asked.length).toBeWithin(6, 9);
  expect(watch.seen("idle")).toBeNull();
});

test("a failure forgets capacity at once and a price after a quarter of an hour, and calls rest", async () => {
  const { watch, asked, pass, story } = await open();
  await pass(1_000);
  story.next = { kind: "failed", class: "unavailable", message: "down" };
  await pass(2 * MINUTE_MS);
  expect(watch.seen("cloud")?.get("cloud/r//t")).toMatchObject({
    pricePerHour: 2,
    available: null,
    availableSince: null,
  });
  await pass(40 * MINUTE_MS);
  expect(watch.seen("cloud")?.size).toBe(0);
  expect(asked.length).toBeLessThan(10);
});

test("capacity that comes back has the time at which it did; a wrong price is unknown", async () => {
  const { watch, pass, story, clock } = await open();
  const place = {
    region: "r",
    zone: null,
    instanceType: "t",
    market: "on-demand",
    reservation: null,
  } as const;
  const answer = (over: Partial<Offered>): OffersAnswer => ({
    kind: "ok",
    offers: [sold(place, over), sold({ ...place, region: "x" })],
  });
  story.next = answer({ available: false, pricePerHour: Number.NaN });
  await pass(1_000);
  const seen = () => watch.seen("cloud")?.get("cloud/r//t");
  expect(seen()).toMatchObject({ available: false, availableSince: null, pricePerHour: null });
  expect(watch.seen("cloud")?.size).toBe(1);
  story.next = answer({});
  await pass(MINUTE_MS);
  const since = seen()?.availableSince ?? 0;
  expect(clock.wallMs() - since).toBeLessThan(MINUTE_MS);
  await pass(3 * MINUTE_MS);
  expect(seen()?.availableSince).toBe(since);
});
