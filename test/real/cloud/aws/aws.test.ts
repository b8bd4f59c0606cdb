/** What only EC2 does, against moto behind the proxy; botocore judges each request and reply. */
import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { contractRequest } from "../../../port/provider.contract.ts";
import { type Change, openMoto, openSubject, START_MS, type Subject } from "./subject.ts";
import { LOSSES } from "./loss.ts";
import { EC2_SECRET } from "./proxy.ts";
import { errorOf, leaf, node, reply } from "./wire.ts";
import { classOf } from "../../../../reconciler/provider/aws/failure.ts";
import type { CreateRequest, Place, Provider } from "../../../../reconciler/core/provider.ts";
import { find, itemsAt, parseXml, textAt } from "../../../../reconciler/provider/aws/xml.ts";

const moto = await openMoto();
afterAll(async () => await moto?.stop());

const opened: Subject[] = [];
afterEach(async () => {
  for (const one of opened.splice(0)) await one.close();
});
async function open(change?: Change): Promise<Subject> {
  if (moto === null) throw new Error("no moto");
  const subject = await openSubject(moto, change);
  opened.push(subject);
  return subject;
}

const FENCE = { nodeId: "n1", fence: 3, sessionId: null };
const TYPE = "p5.48xlarge";
const REAL = { region: "us-east-1", instanceType: TYPE };
const asked = (node: string, change: Partial<CreateRequest> = {}) =>
  contractRequest(node, { ...REAL, ...change });
const buy = (provider: Provider, change: Partial<CreateRequest> = {}, node = "n1") =>
  provider.create(asked(node, change), { ...FENCE, nodeId: node }, null);
const place = (change: Partial<Place> = {}): Place => {
  const { region, zone, instanceType, market, reservation } = asked("n1", change);
  return { region, zone, instanceType, market, reservation };
};

async function bought(provider: Provider, change: Partial<CreateRequest> = {}, node = "n1") {
  const answer = await buy(provider, change, node);
  if (answer.kind !== "ok") throw new Error(JSON.stringify(answer));
  return answer.instance;
}

async function listed(provider: Provider) {
  const answer = await provider.list();
  if (answer.kind !== "ok") throw new Error(JSON.stringify(answer));
  return answer.instances;
}

describe.skipIf(moto === null)("openAws()", () => {
  test.each(LOSSES)("an answer that is lost (%s) is bought once by repeating", async (loss) => {
    const { provider, proxy } = await open();
    proxy.loss = loss;
    proxy.setFaults({ loseReply: { create: { times: 1 } } });
    const lost = await buy(provider);
    expect(lost.kind).toBe("ambiguous");
    const made = await bought(provider);
    expect(proxy.reality().live.map(({ id }) => id)).toEqual([made.id]);
    proxy.setFaults({ loseReply: { terminate: { times: 1 } } });
    expect((await provider.terminate(made.id, FENCE)).kind).toBe("ambiguous");
  });

  test.each(LOSSES)("a list that is lost (%s) fails", async (loss) => {
    const { provider, proxy } = await open();
    await bought(provider);
    proxy.next = loss;
    expect(await provider.list()).toMatchObject({ kind: "failed", class: "unavailable" });
    expect(await listed(provider)).toHaveLength(1);
  });

  test("a connection that is reset after the request leaves the outcome open", async () => {
    const socket = { data: (one: { terminate(): void }) => one.terminate() };
    const listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket });
    const endpoint = `http://127.0.0.1:${listener.port}`;
    const { provider } = await open(() => ({ endpoint }));
    expect((await buy(provider)).kind).toBe("ambiguous");
    expect((await provider.list()).kind).toBe("failed");
    listener.stop(true);
  });

  const codes: [string, number, object][] = [
    ["InsufficientInstanceCapacity", 500, { kind: "refused", class: "capacity" }],
    ["InsufficientHostCapacity", 500, { kind: "refused", class: "capacity" }],
    ["InsufficientFreeAddressesInSubnet", 400, { kind: "refused", class: "capacity" }],
    ["ReservationCapacityExceeded", 400, { kind: "refused", class: "capacity" }],
    ["Unsupported", 400, { kind: "refused", class: "bad_request" }],
    ["VcpuLimitExceeded", 400, { kind: "refused", class: "quota" }],
    ["MaxSpotInstanceCountExceeded", 400, { kind: "refused", class: "quota" }],
    ["RequestLimitExceeded", 503, { kind: "refused", class: "rate_limit" }],
    ["EC2ThrottledException", 503, { kind: "refused", class: "rate_limit" }],
    ["UnauthorizedOperation", 403, { kind: "refused", class: "auth" }],
    ["AuthFailure", 401, { kind: "refused", class: "auth" }],
    ["RequestExpired", 400, { kind: "refused", class: "auth" }],
    ["OptInRequired", 401, { kind: "refused", class: "billing" }],
    ["PendingVerification", 400, { kind: "refused", class: "billing" }],
    ["InvalidSubnetID.NotFound", 400, { kind: "refused", class: "bad_request" }],
    ["MissingParameter", 400, { kind: "refused", class: "bad_request" }],
    ["IdempotentInstanceTerminated", 400, { kind: "refused", class: "bad_request" }],
    ["IdempotentParameterMismatch", 400, { kind: "ambiguous" }],
    ["InternalError", 500, { kind: "ambiguous" }],
    ["Unavailable", 503, { kind: "ambiguous" }],
    ["NeverHeardOf", 400, { kind: "ambiguous" }],
    ["constructor", 400, { kind: "ambiguous" }],
  ];
  test.each(codes)("a purchase answered with %s", async (code, status, expected) => {
    const { provider, proxy } = await open();
    proxy.next = errorOf(status, code);
    expect(await buy(provider)).toMatchObject(expected);
    expect(proxy.reality().live).toEqual([]);
  });

  test("a 200 that names no instance is not believed", async () => {
    const { provider, proxy } = await open();
    const nameless = node("instancesSet", [node("item", [leaf("instanceType", TYPE)])]);
    for (const children of [[], [node("instancesSet", [])], [nameless]]) {
      proxy.next = reply("RunInstances", children);
      expect((await buy(provider)).kind).toBe("ambiguous");
    }
    const { id } = await bought(provider);
    proxy.next = reply("TerminateInstances", []);
    expect((await provider.terminate(id, FENCE)).kind).toBe("ambiguous");
    proxy.next = reply("DescribeInstances", []);
    expect((await provider.list()).kind).toBe("failed");
    expect(await provider.reboot(id, FENCE)).toEqual({ kind: "accepted" });
  });

  test("what is not there proves that nothing was sent", async () => {
    const { provider } = await open(() => ({ endpoint: "http://127.0.0.1:1" }));
    const answer = await buy(provider);
    expect(answer).toMatchObject({ kind: "refused", class: "rate_limit" });
    expect(await provider.list()).toMatchObject({ kind: "failed", class: "unavailable" });
  });

  test("settings that change between a request and its repetition find the same instance", async () => {
    const first = await open();
    const made = await bought(first.provider);
    if (moto === null) return;
    const { openAws } = await import("../../../../reconciler/provider/aws/aws.ts");
    const { awsOptions } = await import("./subject.ts");
    let monoMs = 0;
    const clock = { wallMs: () => START_MS, monoMs: () => monoMs, after: () => () => undefined };
    const options = awsOptions(first.proxy.url, clock);
    const launch = { ...options.launch, image: "ami-1e749f67" };
    const second = openAws({ ...options, launch });
    expect(await buy(second)).toMatchObject({ kind: "ok", instance: { id: made.id } });
    first.proxy.setFaults({ emptyList: true });
    for (monoMs of [0, 299_999]) expect((await buy(second)).kind).toBe("ambiguous");
    // A token whose instance is not described for five minutes holds none.
    monoMs = 300_000;
    const answer = await buy(second);
    expect(answer).toMatchObject({ kind: "refused", class: "bad_request" });
    expect(answer.kind === "refused" && answer.message).toContain("token spent");
    expect(first.proxy.reality()).toMatchObject({ live: [{ id: made.id }], doubles: [] });
  });

  test("what EC2 accepted and ended itself says why", async () => {
    const { provider, proxy } = await open();
    const ends: [string, object][] = [
      ["Server.InsufficientInstanceCapacity", { failure: { class: "capacity" }, notice: null }],
      ["Client.VolumeLimitExceeded", { failure: { class: "quota" }, notice: null }],
      ["Server.SpotInstanceTermination", { failure: null, notice: { kind: "preemption" } }],
      ["Client.UserInitiatedShutdown", { failure: null, notice: null }],
    ];
    const ids = new Map<string, object>();
    for (const [index, [code, expected]] of ends.entries()) {
      const { id } = await bought(provider, {}, `n${index}`);
      await proxy.end(id, code, "words for people");
      ids.set(id, expected);
    }
    for (const one of await listed(provider)) {
      expect(one).toMatchObject({ state: "terminated", ...ids.get(one.id) });
    }
    expect(ids.size).toBe(4);
  });

  test("all pages are read, of instances and of planned events", async () => {
    const { provider, proxy, step } = await open();
    const ids: string[] = [];
    for (let i = 0; i < 5; i++) ids.push((await bought(provider, {}, `n${i}`)).id);
    const event = { code: "instance-retirement", notBefore: "2026-12-01T00:00:00.000Z" };
    for (const id of ids) proxy.events.set(id, { ...event, description: "failing hardware" });
    proxy.events.set(ids[0] ?? "", { ...event, description: "[Completed] done" });
    proxy.rowsMax = 2;
    const all = await listed(provider);
    expect(all.map(({ id }) => String(id)).sort()).toEqual(ids.sort());
    const atMs = Date.UTC(2026, 11, 1);
    const message = "instance-retirement: failing hardware";
    expect(all.flatMap(({ notice }) => notice ?? [])).toEqual(
      Array.from({ length: 4 }, () => ({ kind: "maintenance", atMs, message })),
    );
    expect(proxy.calls.filter(({ action }) => action === "DescribeInstances")).toHaveLength(3);
    // A later page that fails is no shorter list.
    const [first] = proxy.calls.filter(({ form }) => form["NextToken"] === "4");
    expect(first?.action).toBe("DescribeInstances");
    proxy.setFaults({ listFails: 1 });
    expect((await provider.list()).kind).toBe("failed");
    await step(60_000);
    proxy.events.clear();
    expect((await listed(provider)).every(({ notice }) => notice === null)).toBe(true);
    proxy.setFaults({ duplicateListing: true });
    expect((await provider.list()).kind).toBe("failed");
  });

  test("a purchase carries every setting", async () => {
    const zone = "us-east-1c";
    let subnet = "";
    const { provider, proxy } = await open(async ({ launch }) => {
      subnet = await defaultSubnet(zone);
      const subnets = [{ zone, id: subnet }];
      const userData = "#!/bin/sh\ntrue\n";
      return { launch: { ...launch, subnets, userData, diskGb: 200, externalIp: true } };
    });
    const labels = {
      "navarch.dev/pool": "p",
      team: "ü & <x>",
      "aws:own": "no",
      long: "v".repeat(257),
    };
    const { tags } = asked("n1");
    const made = await bought(provider, { zone, tags: { ...tags, ...labels } });
    expect(made).toMatchObject({ zone, name: "f-train-n1-1", token: "token-n1-1" });
    const [one] = await listed(provider);
    expect(one?.tags).toEqual({
      ...tags,
      Name: "f-train-n1-1",
      "navarch.dev/pool": "p",
      team: "ü & <x>",
    });
    const volumes = await direct({ Action: "DescribeVolumes" });
    const [volume] = itemsAt(volumes, "volumeSet");
    expect(textAt(volume, "size")).toBe("200");
    expect(itemsAt(volume, "tagSet").map((tag) => textAt(tag, "key"))).toContain("navarch-fleet");
    expect(textAt(one === undefined ? undefined : await described(one.id), "subnetId")).toBe(
      subnet,
    );
    const other = await buy(provider, { zone: "us-east-1a" }, "n2");
    expect(other).toMatchObject({ kind: "refused", class: "bad_request" });
    expect(other.kind === "refused" && other.message).toContain("subnets has us-east-1c");
    expect(proxy.calls.filter(({ action }) => action === "RunInstances")).toHaveLength(1);
  });

  test("spot, a reservation and a capacity block are each asked for", async () => {
    const { provider, proxy } = await open();
    proxy.reservations.set("cr-1", { left: 1, isBlock: false });
    proxy.reservations.set("cr-2", { left: 0, isBlock: true });
    await buy(provider, { market: "spot" }, "n1");
    await buy(provider, { market: "reserved", reservation: "cr-1" }, "n2");
    await buy(provider, { market: "reserved", reservation: "cr-2" }, "n3");
    const none = await buy(provider, { market: "reserved", reservation: "cr-3" }, "n4");
    expect(none).toMatchObject({ kind: "refused", class: "bad_request" });
    const kind = "InstanceMarketOptions.MarketType";
    const target = "CapacityReservationSpecification.CapacityReservationTarget";
    const runs = proxy.calls.filter(({ action }) => action === "RunInstances");
    const said = runs.map(({ form }) => [form[kind], form[`${target}.CapacityReservationId`]]);
    expect(said).toEqual([
      ["spot", undefined],
      [undefined, "cr-1"],
      ["capacity-block", "cr-2"],
    ]);
    const prices = (await listed(provider)).map((one) => [one.name, one.pricePerHour]);
    // moto calls a machine of a capacity block a Spot one, too.
    expect(prices.sort().slice(0, 2)).toEqual([
      ["f-train-n1-1", 0.000_01],
      ["f-train-n2-1", null],
    ]);
    const offers = await provider.offers(
      ["cr-1", "cr-2"].map((reservation) => place({ market: "reserved", reservation })),
    );
    const free = offers.kind === "ok" && offers.offers.map(({ available }) => available);
    expect(free).toEqual([true, false]);
  });

  test("offers: spot prices, what is not offered, and what is not known", async () => {
    const { provider } = await open();
    const answer = await provider.offers([
      place(),
      place({ market: "spot", zone: "us-east-1a" }),
      place({ instanceType: "u-24tb1.metal" }),
      place({ region: "eu-west-1" }),
    ]);
    const found = answer.kind === "ok" ? answer.offers : [];
    expect(found.map(({ available, pricePerHour }) => [available, pricePerHour])).toEqual([
      [null, null],
      [null, 0.000_01],
      [false, null],
      [false, null],
    ]);
  });

  test("host keys are those of the last complete block on the console", async () => {
    const { provider, proxy } = await open();
    const { id } = await bought(provider);
    expect(await provider.hostKeys(id)).toEqual({ kind: "ok", hostKeys: [] });
    const key = "AAAAC3NzaC1lZDI1NTE5AAAAIKqP";
    const block = (host: string) =>
      `[  1.2] x\r\n-----BEGIN SSH HOST KEY KEYS-----\r\nssh-ed25519 ${key}${host} root@ip\r\n` +
      `ecdsa-sha2-nistp256 ${key}E= root@ip\r\n-----END SSH HOST KEY KEYS-----\r\nlogin:`;
    const cut = "-----BEGIN SSH HOST KEY KEYS-----\nssh-ed25519 AAAAcut";
    proxy.consoles.set(id, `${block("old")}${block("new")}${cut}`);
    const hostKeys = [`ssh-ed25519 ${key}new`, `ecdsa-sha2-nistp256 ${key}E=`];
    expect(await provider.hostKeys(id)).toEqual({ kind: "ok", hostKeys });
  });

  test("inspect names what would stop a purchase, and buys nothing", async () => {
    const { provider, proxy } = await open();
    const checks = async (one: Provider, places: Place[]) =>
      (await one.inspect(places)).map(({ check, outcome }) => `${check} ${outcome}`);
    expect(await checks(provider, [place()])).toEqual(["credentials ok", "purchase ok"]);
    const odd = [place({ instanceType: "u-24tb1.metal" }), place({ region: "eu-west-1" })];
    const found = await checks(provider, odd);
    expect(found).toContain("instance type fail");
    expect(found).toContain("purchase fail");
    const imageless = await open(({ launch }) => ({
      launch: { ...launch, image: "ami-00000000" },
    }));
    expect(await checks(imageless.provider, [place()])).toContain("image fail");
    expect(proxy.reality()).toMatchObject({ live: [], asks: 0 });
  });

  test("quotas are read once for each family and market", async () => {
    const { provider, proxy } = await open();
    proxy.quotas.set("L-417A185B", 0).set("L-C4BD4855", 192);
    const places = [
      place(),
      place({ zone: "us-east-1a" }),
      place({ market: "spot" }),
      place({ instanceType: "g6.xlarge" }),
      place({ instanceType: "m5.large" }),
      place({ market: "reserved", reservation: "cr-1" }),
    ];
    const answer = await provider.quota(places);
    const found = answer.kind === "ok" ? answer.quotas : [];
    expect(found.map(({ name, limit }) => [name, limit])).toEqual([
      ["Running P instances (vCPUs, L-417A185B)", 0],
      ["Running P instances (vCPUs, L-C4BD4855)", 192],
    ]);
  });

  test("a wrong key is an error of the account that names its source and no secret", async () => {
    const { provider } = await open(({ credentials }) => ({
      credentials: {
        ...credentials,
        env: { AWS_ACCESS_KEY_ID: "AKIAWRONG", AWS_SECRET_ACCESS_KEY: EC2_SECRET },
      },
    }));
    const answers = [await buy(provider), await provider.list(), await provider.inspect([place()])];
    expect(answers[0]).toMatchObject({ kind: "refused", class: "auth" });
    expect(answers[1]).toMatchObject({ kind: "failed", class: "auth" });
    expect(answers[2]).toMatchObject([{ check: "credentials", outcome: "fail" }]);
    const text = JSON.stringify(answers);
    expect(text).toContain("credentials of AWS_ACCESS_KEY_ID");
    expect(text).not.toContain(EC2_SECRET);
  });

  test("purchases past the account's burst are not sent, and say when", async () => {
    const rates = { launch: { perSecond: 2, burst: 2 }, end: FREE, read: FREE };
    const { provider, proxy, step } = await open(() => ({ rates }));
    await bought(provider, {}, "n1");
    await bought(provider, {}, "n2");
    const late = await buy(provider, {}, "n3");
    expect(late).toMatchObject({ kind: "refused", class: "rate_limit", retryAfterMs: 500 });
    await step(500);
    await bought(provider, {}, "n3");
    expect(proxy.reality()).toMatchObject({ asks: 3, doubles: [] });
  });
});

const FREE = { perSecond: 1_000, burst: 1_000 };

/** Asks moto itself, past the proxy. */
async function direct(form: Record<string, string>) {
  const scope = "20260101/us-east-1/ec2/aws4_request";
  const authorization = `AWS4-HMAC-SHA256 Credential=AKIA/${scope}, Signature=0`;
  const body = new URLSearchParams({ Version: "2016-11-15", ...form });
  const answer = await fetch(moto?.url ?? "", { method: "POST", headers: { authorization }, body });
  return parseXml(await answer.text()) ?? undefined;
}

async function described(id: string) {
  const all = await direct({ Action: "DescribeInstances", "InstanceId.1": id });
  return find(find(find(all, "reservationSet"), "item"), "instancesSet", "item");
}

async function defaultSubnet(zone: string): Promise<string> {
  const all = await direct({ Action: "DescribeSubnets" });
  const here = itemsAt(all, "subnetSet").find((one) => textAt(one, "availabilityZone") === zone);
  return textAt(here, "subnetId") ?? "";
}

test("classOf() knows what is no proof", () => {
  expect(["Weird", "toString", ""].map(classOf)).toEqual(["unknown", "unknown", "unknown"]);
});
