/**
 * The adapter of Compute Engine and its stand-in before a judge that is not ours: every request and
 * every reply of the contract and of a whole life of machines is held to Google's own discovery
 * document (docs/reference/gce.md).
 */
import { describe, expect, test } from "bun:test";
import type { CreateRequest, Place } from "../../../../reconciler/core/provider.ts";
import type { Exchange } from "../../../fixture/cloud/gce-server.ts";
import { inZone, openGceSubject } from "../../../fixture/cloud/gce-subject.ts";
import { contractRequest, providerContract } from "../../../port/provider.contract.ts";
import { documentsOrSkip, Judge } from "./discovery.ts";

const documents = documentsOrSkip();
const judge = new Judge(documents ?? []);
const used = new Map<string, number>();
const problems = new Set<string>();

function observe(exchange: Exchange): void {
  const verdict = judge.judge(exchange);
  used.set(verdict.method ?? "", (used.get(verdict.method ?? "") ?? 0) + 1);
  for (const problem of verdict.problems) problems.add(problem);
}

const open = () =>
  openGceSubject(
    {
      network: "gpu-net",
      subnet: "gpu",
      diskGb: 200,
      serviceAccount: "node@p1.iam.gserviceaccount.com",
    },
    { observe },
  );

if (documents !== null) {
  providerContract(
    "openGcp() before Google's document",
    async () => {
      const { provider, standIn, step } = open();
      return {
        provider: inZone(provider, "r1-a"),
        step,
        setFaults: standIn.setFaults,
        reality: standIn.reality,
        close: () => standIn.stop(),
        forgets: true,
        ignoresFences: true,
      };
    },
    ["name"],
  );
}

describe.if(documents !== null)("Google's discovery document", () => {
  test("every market, late failures, pages and orders are within it", async () => {
    const { provider, standIn, step } = open();
    const { knobs } = standIn.cloud;
    Object.assign(knobs, { operationMs: 8_000, failMs: 40_000, hostKeysMs: 0 });
    standIn.service.pageMax = 2;
    const fence = { nodeId: "n1", fence: 1, sessionId: null };
    const orders: Partial<CreateRequest>[] = [
      { instanceType: "a3-highgpu-8g", sshKeys: ["ops:ssh-ed25519 AAAA"] },
      { instanceType: "a3-highgpu-8g", market: "spot" },
      { instanceType: "a4-highgpu-8g", market: "reserved", reservation: "res-1" },
      { instanceType: "e2-small", zone: "r2-a", region: "r2" },
    ];
    for (const [i, order] of orders.entries()) {
      const own = { token: `t${i}`, name: `n${i}`, zone: "r1-b" };
      const request = contractRequest("n1", { ...own, ...order });
      expect((await provider.create(request, fence, null)).kind).toBe("ok");
    }
    knobs.stock.set("r1-b", 0);
    const lost = contractRequest("n1", { token: "lost", name: "lost", zone: "r1-b" });
    expect((await provider.create(lost, fence, null)).kind).toBe("ok");
    step(60_000);
    const [machine, spot] = standIn.cloud.vms;
    if (machine === undefined || spot === undefined) throw new Error("nothing was bought");
    machine.maintenanceMs = 2_000_000;
    standIn.cloud.preempt(spot);
    const answer = await provider.list();
    const listed = answer.kind === "ok" ? answer.instances : [];
    expect(listed.filter(({ failure }) => failure !== null)).toHaveLength(1);
    expect(listed.filter(({ notice }) => notice !== null)).toHaveLength(2);
    const running = listed.find(({ state }) => state === "running");
    if (running === undefined) throw new Error("nothing runs");
    expect(await provider.hostKeys(running.id)).toMatchObject({ kind: "ok" });
    expect(await provider.reboot(running.id, fence)).toEqual({ kind: "accepted" });
    expect(await provider.terminate(running.id, fence)).toEqual({ kind: "accepted" });
    const zone = "r1-a";
    const places: Place[] = orders.map((order) => contractRequest("n1", { zone, ...order }));
    const failed = (await provider.inspect(places)).filter(({ outcome }) => outcome === "fail");
    // The stand-in has no reservations.
    expect(failed.map(({ check }) => check)).toEqual(["reservation"]);
    expect(await provider.quota(places)).toMatchObject({ kind: "ok" });
    await standIn.stop();
  });

  const good = (): Exchange => ({
    method: "POST",
    path: "/compute/v1/projects/p1/zones/r1-a/instances",
    query: new URLSearchParams({ requestId: "x" }),
    body: { name: "n", scheduling: { provisioningModel: "SPOT" } },
    status: 200,
    reply: { name: "operation-1", status: "DONE", progress: 100 },
  });
  const bad: [string, (one: Exchange) => void, string][] = [
    ["an unknown method", (one) => (one.path += "/n/explode"), "no method"],
    ["a zone that is none", (one) => (one.path = one.path.replace("r1-a", "R1")), "no method"],
    ["an unknown parameter", (one) => one.query.set("request_id", "x"), "unknown"],
    ["an unknown field", (one) => (one.body = { name: "n", lables: {} }), "unknown field"],
    [
      "a value that is not allowed",
      (one) => (one.body = { name: "n", privateIpv6GoogleAccess: "YES" }),
      "not allowed",
    ],
    ["a name with capitals", (one) => (one.body = { name: "Node" }), "is not"],
    ["no name", (one) => (one.body = {}), "missing"],
    ["what the server alone writes", (one) => (one.body = { name: "n", id: "1" }), "alone writes"],
    ["a number as text", (one) => (one.reply = { progress: "100" }), "no number"],
    ["a state that is none", (one) => (one.reply = { status: "FINISHED" }), "not allowed"],
  ];
  test("takes a good exchange", () => {
    expect(judge.judge(good())).toEqual({ method: "compute.instances.insert", problems: [] });
  });
  test.each(bad)("finds %s", (_what, change, word) => {
    const exchange = good();
    change(exchange);
    expect(judge.judge(exchange).problems.join("\n")).toContain(word);
  });
});

test.if(documents !== null)("all of them were within the documents, and all methods used", () => {
  expect([...problems]).toEqual([]);
  const methods = [
    "cloudresourcemanager.projects.testIamPermissions",
    "compute.globalOperations.aggregatedList",
    "compute.images.getFromFamily",
    "compute.instances.aggregatedList",
    "compute.instances.delete",
    "compute.instances.get",
    "compute.instances.getGuestAttributes",
    "compute.instances.insert",
    "compute.instances.reset",
    "compute.machineTypes.get",
    "compute.projects.get",
    "compute.regions.get",
    "compute.reservations.get",
    "compute.zoneOperations.get",
    "compute.zones.get",
  ];
  expect([...used.keys()].sort()).toEqual(methods);
});
