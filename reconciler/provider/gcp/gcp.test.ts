/** Compute Engine: the port's contract over its API, then what only this API does. */
import { afterEach, describe, expect, test } from "bun:test";
import { inZone, openGceSubject } from "../../../test/fixture/cloud/gce-subject.ts";
import { contractRequest, providerContract } from "../../../test/port/provider.contract.ts";
import type { InstanceId } from "../../../schema/id.ts";
import type { CreateRequest, Place, Provider } from "../../core/provider.ts";
import type { GcpOptions } from "./gcp.ts";

const opened: { stop(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of opened.splice(0)) await one.stop();
});

function openTest(...options: Parameters<typeof openGceSubject>) {
  const subject = openGceSubject(...options);
  opened.push(subject.standIn);
  return subject;
}

providerContract(
  "openGcp()",
  async () => {
    const { provider, standIn, step } = openTest();
    return {
      provider: inZone(provider, "r1-a"),
      step,
      setFaults: standIn.setFaults,
      reality: standIn.reality,
      close: () => Promise.resolve(),
      forgets: true,
      ignoresFences: true,
    };
  },
  ["name"],
);

const FENCE = { nodeId: "n1", fence: 3, sessionId: null };
const zone = "r1-a";
const ask = (change: Partial<CreateRequest> = {}) => contractRequest("n1", { zone, ...change });
const buy = (provider: Provider, change: Partial<CreateRequest> = {}) =>
  provider.create(ask(change), FENCE, null);
const listOf = async (provider: Provider) => {
  const answer = await provider.list();
  if (answer.kind !== "ok") throw new Error(JSON.stringify(answer));
  return answer.instances;
};
const say = (status: number, reason: string, message = "words for people") =>
  Response.json({ error: { code: status, message, errors: [{ reason }] } }, { status });

describe("openGcp(): what is accepted and then fails", () => {
  test("a stock-out within the wait is a refusal, and nothing is left", async () => {
    const { provider, standIn } = openTest();
    Object.assign(standIn.cloud.knobs, { operationMs: 20_000, failMs: 20_000 });
    standIn.cloud.knobs.stock.set(zone, 0);
    const answer = await buy(provider);
    expect(answer).toMatchObject({ kind: "refused", class: "capacity" });
    expect(answer.kind === "refused" && answer.message).toContain("ZONE_RESOURCE_POOL_EXHAUSTED");
    expect((await listOf(provider)).map(({ state }) => state)).toEqual(["terminated"]);
    // A repeat gives the same operation, and must not wait for anything again.
    expect(await buy(provider)).toMatchObject({ kind: "refused", class: "capacity" });
    expect(standIn.reality()).toMatchObject({ live: [], terminated: [], doubles: [] });
  });

  test("a later stock-out is listed as ended, with its reason, and then forgotten", async () => {
    const { provider, standIn, step } = openTest();
    standIn.cloud.knobs.failMs = 90_000;
    standIn.cloud.knobs.stock.set(zone, 0);
    const answer = await buy(provider);
    expect(answer).toMatchObject({ kind: "ok", instance: { state: "provisioning", zone } });
    expect(await listOf(provider)).toMatchObject([{ state: "provisioning", failure: null }]);
    step(90_000);
    const failure = { class: "capacity" };
    for (let i = 0; i < 2; i += 1) {
      expect(await listOf(provider)).toMatchObject([{ state: "terminated", failure }]);
    }
    const [ended] = await listOf(provider);
    expect(ended?.id).toBe(answer.kind === "ok" ? answer.instance.id : ("" as InstanceId));
    expect(ended?.tags["navarch-node"]).toBe("n1");
    step(15 * 60_000 + 1);
    expect(await listOf(provider)).toEqual([]);
  });

  test.each([true, false])("another process finds the reason (starts later: %p)", async (later) => {
    const { provider, standIn, clock, step } = openTest();
    const open = () =>
      openTest({ endpoint: standIn.endpoint, iamEndpoint: `${standIn.url}/v3`, clock }).provider;
    standIn.cloud.knobs.failMs = 90_000;
    standIn.cloud.knobs.stock.set(zone, 0);
    const early = open();
    const answer = await buy(provider);
    expect(await listOf(early)).toMatchObject([{ state: "provisioning" }]);
    step(90_000);
    const [ended, ...more] = await listOf(later ? open() : early);
    expect(more).toEqual([]);
    expect(ended).toMatchObject({ state: "terminated", failure: { class: "capacity" } });
    expect(answer).toMatchObject({ kind: "ok", instance: { id: ended?.id, name: ended?.name } });
    // Operations of other fleets are none of ours.
    const other = openTest({ endpoint: standIn.endpoint, clock, fleetId: "other" }).provider;
    expect(await listOf(other)).toEqual([]);
  });

  test("a purchase that is still being made is not absent from a list that lacks it", async () => {
    const { provider, standIn, step } = openTest();
    standIn.cloud.knobs.operationMs = 120_000;
    const answer = await buy(provider);
    standIn.setFaults({ listLagMs: 600_000 });
    const [listed] = await listOf(provider);
    expect(listed).toEqual(answer.kind === "ok" ? answer.instance : undefined);
    step(120_000);
    standIn.setFaults({});
    const running = { id: listed?.id, state: "running", externalIp: "203.0.113.1" };
    expect(await listOf(provider)).toMatchObject([running]);
  });

  test("a look at the operation that fails takes nothing back", async () => {
    const { provider, standIn } = openTest();
    standIn.cloud.knobs.operationMs = 5_000;
    const asked = buy(provider);
    while (standIn.calls.length === 0) await Bun.sleep(1);
    standIn.next = new Response("<html>", { status: 502 });
    expect(await asked).toMatchObject({ kind: "ok" });
    expect(standIn.reality().live).toHaveLength(1);
  });
});

describe("openGcp(): requests", () => {
  test.each<[string, Partial<CreateRequest>, Partial<GcpOptions>, string]>([
    ["no zone", { zone: null }, {}, "set zones on the pool"],
    ["a zone of another region", { region: "r2" }, {}, "zone r1-a is not in region r2"],
    ["a name with capitals", { name: "Node" }, {}, "name Node"],
    ["no image", {}, { image: null }, "set it at the provider or the pool"],
    ["a key without its user", { sshKeys: ["ssh-ed25519 AAAA"] }, {}, "USER:KEY"],
    ["reserved without a reservation", { market: "reserved" }, {}, "needs a reservation"],
  ])("%s is refused before anything is sent", async (_what, change, options, remedy) => {
    const { provider, standIn } = openTest(options);
    const answer = await buy(provider, change);
    expect(answer).toMatchObject({ kind: "refused", class: "bad_request" });
    expect(answer.kind === "refused" && answer.message).toContain(remedy);
    expect(standIn.calls).toEqual([]);
  });

  test("a fleet whose label is the same is another one", async () => {
    const { provider, standIn } = openTest();
    const tags = { ...ask().tags, "navarch-fleet": "FLEET-1" };
    expect((await buy(provider, { tags })).kind).toBe("ok");
    expect(standIn.cloud.vms[0]?.body.labels).toMatchObject({ "navarch-fleet": "fleet-1" });
    expect(await listOf(provider)).toEqual([]);
  });

  test("what the pool sets goes over the provider's, and its network is alone", async () => {
    const { provider, standIn } = openTest({
      image: "a",
      diskGb: 200,
      network: "n",
      subnet: "gpu",
    });
    const settings = { image: "b", subnet: "own", externalIp: false, prices: "x=1" };
    expect((await buy(provider, { settings })).kind).toBe("ok");
    expect((await buy(provider, { name: "second", token: "second" })).kind).toBe("ok");
    const made = standIn.cloud.vms.map(({ body }) => JSON.stringify(body));
    expect(made[0]).toContain("/global/images/b");
    expect(made[0]).toContain('"diskSizeGb":"200"');
    expect(made[0]).toContain("/subnetworks/own");
    expect(made[0]).not.toContain("global/networks/n");
    expect(made[0]).not.toContain("ONE_TO_ONE_NAT");
    expect(made[1]).toContain("/global/images/a");
    expect(made[1]).toContain("/subnetworks/gpu");
  });

  test("exact tags, and labels that Compute Engine takes", async () => {
    const { provider, standIn } = openTest({ diskGb: 200, subnet: "gpu", serviceAccount: "a@b" });
    const tags = { ...ask().tags, "navarch.dev/pool": "Ä", "navarch-pool": "Train.v2" };
    const sshKeys = ["ubuntu:ssh-ed25519 AAAA me"];
    expect((await buy(provider, { tags, sshKeys })).kind).toBe("ok");
    expect(await listOf(provider)).toMatchObject([{ tags }]);
    const [vm] = standIn.cloud.vms;
    expect(vm?.body.labels).toEqual({
      "navarch-fleet": "fleet-1",
      "navarch-node": "n1",
      "navarch-pool": "train-v2",
    });
    const items = Object.fromEntries(vm?.body.metadata?.items?.map((i) => [i.key, i.value]) ?? []);
    expect(items).toMatchObject({
      "enable-guest-attributes": "TRUE",
      "enable-oslogin": "FALSE",
      "ssh-keys": "ubuntu:ssh-ed25519 AAAA me",
    });
    expect(vm?.body).toMatchObject({
      disks: [{ autoDelete: true, initializeParams: { diskSizeGb: "200" } }],
      networkInterfaces: [{ subnetwork: "regions/r1/subnetworks/gpu" }],
      serviceAccounts: [{ email: "a@b" }],
    });
  });

  const fixed = { onHostMaintenance: "TERMINATE" };
  const deleted = { instanceTerminationAction: "DELETE" };
  const spot = { ...fixed, ...deleted, provisioningModel: "SPOT", automaticRestart: false };
  test.each<[string, Partial<CreateRequest>, object | undefined]>([
    ["e2-small", {}, undefined],
    ["a3-highgpu-8g", {}, fixed],
    ["e2-small", { market: "spot" }, spot],
    ["a3-highgpu-8g", { market: "reserved", reservation: "r-1" }, fixed],
    [
      "a4-highgpu-8g",
      { market: "reserved", reservation: "r-1" },
      { ...fixed, ...deleted, provisioningModel: "RESERVATION_BOUND" },
    ],
  ])("%s with %p is bought as %p", async (instanceType, change, scheduling) => {
    const { provider, standIn } = openTest();
    expect((await buy(provider, { instanceType, ...change })).kind).toBe("ok");
    const body = standIn.cloud.vms[0]?.body;
    expect(body?.scheduling).toEqual(scheduling as never);
    const values = (body?.reservationAffinity as { values?: string[] } | undefined)?.values;
    expect(values?.[0] ?? null).toBe(change.reservation ?? null);
  });

  test.each<[string, () => Response, object]>([
    [
      "200 without an instance",
      () => Response.json({ name: "o", status: "DONE" }),
      { kind: "ambiguous" },
    ],
    ["200 with HTML", () => new Response("<html>"), { kind: "ambiguous" }],
    ["200 of another shape", () => Response.json([]), { kind: "ambiguous" }],
    ["503 of a gateway", () => new Response("busy", { status: 503 }), { kind: "ambiguous" }],
    ["500 internalError", () => say(500, "internalError"), { kind: "ambiguous" }],
    ["404", () => say(404, "notFound"), { kind: "refused", class: "bad_request" }],
    [
      "429 with Retry-After",
      () => new Response("", { status: 429, headers: { "retry-after": "12" } }),
      { kind: "refused", class: "rate_limit", retryAfterMs: 12_000 },
    ],
    [
      "a redirect",
      () => new Response("", { status: 301, headers: { location: "/elsewhere" } }),
      { kind: "refused", class: "bad_request" },
    ],
  ])("an insert answered by %s", async (_what, response, expected) => {
    const { provider, standIn } = openTest();
    standIn.next = response();
    expect(await buy(provider)).toMatchObject(expected);
    expect(standIn.reality().live).toEqual([]);
  });

  test("what is not there proves that nothing was sent", async () => {
    const { provider } = openTest({ endpoint: "http://127.0.0.1:1" });
    expect(await buy(provider)).toMatchObject({ kind: "refused", class: "rate_limit" });
    expect(await provider.list()).toMatchObject({ kind: "failed", class: "rate_limit" });
  });

  test("the name answers when the request id is forgotten", async () => {
    const { provider, standIn } = openTest();
    const first = await buy(provider);
    const again = await buy(provider, { token: "another-token" });
    expect(again).toEqual(first);
    expect(standIn.reality().live).toHaveLength(1);
  });
});

describe("openGcp(): lists and orders", () => {
  test("an unreachable zone fails the list; all pages are read", async () => {
    const { provider, standIn } = openTest();
    standIn.service.pageMax = 2;
    for (let i = 0; i < 5; i += 1) {
      const at = standIn.service.zones[i % 3] ?? zone;
      const one = { token: `t${i}`, name: `n${i}`, zone: at, region: null };
      expect((await buy(provider, one)).kind).toBe("ok");
    }
    expect(await listOf(provider)).toHaveLength(5);
    standIn.service.unreachable.add("r1-b");
    const answer = await provider.list();
    expect(answer).toMatchObject({ kind: "failed", class: "unavailable" });
    expect(answer.kind === "failed" && answer.message).toContain("zones/r1-b");
  });

  test.each([
    ["RUNNING", "running"],
    ["REPAIRING", "running"],
    ["NEVER_HEARD_OF", "running"],
    ["STOPPING", "terminating"],
    ["TERMINATED", "stopped"],
    ["SUSPENDED", "stopped"],
  ])("the status %s counts as %s", async (status, state) => {
    const { provider, standIn } = openTest();
    await buy(provider);
    standIn.cloud.vms[0]?.history.push({ atMs: 0, status });
    expect(await listOf(provider)).toMatchObject([{ state }]);
  });

  test("a preempted Spot VM and planned maintenance are notices", async () => {
    const { provider, standIn, step } = openTest();
    await buy(provider, { market: "spot" });
    step(60_000);
    const [vm] = standIn.cloud.vms;
    if (vm === undefined) throw new Error("no machine");
    expect(await listOf(provider)).toMatchObject([{ notice: null }]);
    vm.maintenanceMs = 7_200_000;
    const notice = { kind: "maintenance", atMs: 7_200_000 };
    expect(await listOf(provider)).toMatchObject([{ notice }]);
    standIn.cloud.preempt(vm);
    expect(await listOf(provider)).toMatchObject([
      { state: "terminating", notice: { kind: "preemption" } },
    ]);
    step(60_000);
    expect(await listOf(provider)).toEqual([]);
  });

  test("a Spot VM that Navarch ends announces nothing", async () => {
    const { provider, step } = openTest();
    const made = await buy(provider, { market: "spot" });
    step(60_000);
    const { id } = made.kind === "ok" ? made.instance : { id: "" as InstanceId };
    expect(await provider.terminate(id, FENCE)).toEqual({ kind: "accepted" });
    expect(await listOf(provider)).toMatchObject([{ id, state: "terminating", notice: null }]);
  });

  test("a stopped machine is listed; the rate limit and the quota refuse", async () => {
    const { provider, standIn, step } = openTest();
    await buy(provider);
    step(60_000);
    const [vm] = standIn.cloud.vms;
    if (vm !== undefined) standIn.cloud.stop(vm);
    expect(await listOf(provider)).toMatchObject([{ state: "stopped" }]);
    standIn.perMinute = 1;
    const limited = { class: "rate_limit" };
    expect(await provider.list()).toMatchObject({ kind: "failed", ...limited });
    const next = { token: "next", name: "next" };
    expect(await buy(provider, next)).toMatchObject({ kind: "refused", ...limited });
    step(61_000);
    standIn.cloud.knobs.instancesMax = 1;
    expect(await buy(provider, next)).toMatchObject({ kind: "refused", class: "quota" });
    expect(standIn.reality().live).toHaveLength(1);
  });

  test("an order reaches its instance only, also when the name is used again", async () => {
    const { provider, standIn, step } = openTest();
    const first = await buy(provider);
    if (first.kind !== "ok") throw new Error("not bought");
    const { id } = first.instance;
    step(60_000);
    expect(await provider.reboot(id, FENCE)).toEqual({ kind: "accepted" });
    await provider.terminate(id, FENCE);
    step(60_000);
    expect(await buy(provider, { token: "second" })).toMatchObject({ kind: "ok" });
    step(60_000);
    expect(await provider.terminate(id, FENCE)).toEqual({ kind: "not_found" });
    expect(standIn.reality().live.map(({ state }) => state)).toEqual(["running"]);
  });

  test("host keys are those that the guest agent reports, and none before", async () => {
    const { provider, standIn, step } = openTest();
    standIn.cloud.knobs.hostKeysMs = 30_000;
    const made = await buy(provider);
    const { id } = made.kind === "ok" ? made.instance : { id: "" as InstanceId };
    step(5_000);
    expect(await provider.hostKeys(id)).toEqual({ kind: "ok", hostKeys: [] });
    step(60_000);
    standIn.cloud.guestItems.push({ key: "ssh-rsa", value: "AAAA\nssh-rsa BBBB" });
    const hostKeys = [expect.stringMatching(/^ssh-ed25519 [\w+/=]+$/)];
    expect(await provider.hostKeys(id)).toEqual({ kind: "ok", hostKeys });
  });

  test("inspect() names what prevents a purchase", async () => {
    const { provider, standIn } = openTest({ image: "no-such-image" });
    standIn.service.permissions = ["compute.instances.get"];
    const place: Place = {
      region: null,
      zone: "nowhere-a",
      instanceType: "no-such-type",
      market: "on-demand",
      reservation: null,
    };
    const places = [place, { ...place, zone }, { ...place, zone: null }];
    const found = await provider.inspect(places);
    const failed = found.filter(({ outcome }) => outcome === "fail").map(({ check }) => check);
    expect(failed.sort()).toEqual(
      ["image", "instance type", "instance type", "permission", "zone", "zone"].sort(),
    );
    const said = found.find(({ check }) => check === "permission")?.message;
    expect(said).toContain("compute.instances.create");
    expect(await provider.offers([{ ...place, zone }])).toMatchObject({
      offers: [{ available: false, pricePerHour: null }],
    });
    expect(await provider.quota([{ ...place, zone }])).toEqual({
      kind: "ok",
      quotas: [
        { name: "GPUS_ALL_REGIONS", region: null, limit: 64, used: 0 },
        { name: "NVIDIA_A100_GPUS", region: "r1", limit: 16, used: 8 },
        { name: "CPUS", region: "r1", limit: 500, used: 20 },
      ],
    });
  });
});
