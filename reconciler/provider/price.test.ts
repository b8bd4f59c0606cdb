/** Prices from the configuration: only where the cloud tells none. */
import { expect, test } from "bun:test";
import { contractRequest } from "../../test/port/provider.contract.ts";
import { readConfig } from "../config/read.ts";
import { openMemoryCloud } from "./fake/memory.ts";
import { pricesOf } from "../core/machine-setting.ts";
import { withPrices } from "./price.ts";
import { readsNothing } from "./call/reads-nothing.ts";

test.each([
  [
    null,
    [
      ["b", 55.04],
      ["c", null],
    ],
  ],
  [
    3,
    [
      ["b", 3],
      ["c", 3],
    ],
  ],
])("withPrices() fills what a cloud that tells %p does not", async (pricePerHour, expected) => {
  const clock = { wallMs: () => 1_000_000, after: () => undefined };
  const from = { clock, random: () => 0.5, fleetId: "fleet-1", class: "token" as const };
  const cloud = openMemoryCloud({ ...from, terms: { pricePerHour } });
  const provider = withPrices(cloud, pricesOf("a=7,b=55.04"));
  const types = ["b", "c"];
  for (const instanceType of types) {
    const request = contractRequest(instanceType, { instanceType });
    const fence = { nodeId: instanceType, fence: 1, sessionId: null };
    expect((await provider.create(request, fence, null)).kind).toBe("ok");
  }
  const { region, zone, market, reservation } = contractRequest("n");
  const places = types.map((instanceType) => ({ region, zone, market, reservation, instanceType }));
  const [listed, offered] = [await provider.list(), await provider.offers(places)];
  const rows = listed.kind === "ok" ? listed.instances : [];
  expect(rows.map((one) => [one.instanceType, one.pricePerHour]).sort()).toEqual(expected);
  const offers = offered.kind === "ok" ? offered.offers : [];
  expect(offers.map((one) => [one.instanceType, one.pricePerHour])).toEqual(expected);
  const silent = withPrices({ ...provider, offers: readsNothing.offers }, pricesOf("a=7,b=55.04"));
  const [known] = places.map((one) => ({ ...one, pricePerHour: 55.04, available: null }));
  expect(await silent.offers(places.slice(0, 1))).toEqual({ kind: "ok", offers: [known] } as never);
});

test.each(["p5.48xlarge", "p5.48xlarge=cheap", "p5.48xlarge=-1", "=1", "p5.48xlarge=1e3"])(
  "the price %p is an error that says how to write one",
  (price) => {
    const text = `providers: { aws: { region: us-east-1, prices: ["${price}"] } }\npools: []\n`;
    const { problems } = readConfig([{ name: "c.yaml", text }]);
    const errors = problems.filter(({ severity }) => severity === "error");
    expect(errors).toMatchObject([{ path: "providers.aws.prices" }]);
    expect(errors[0]?.message).toContain("expected TYPE=DOLLARS an hour");
  },
);
