import { beforeEach, expect, test } from "bun:test";
import { openFakeKube, type FakeKube } from "../../../simulator/cluster/fake.ts";
import { VirtualClock } from "../../../simulator/engine/clock.ts";
import { NO_AGENTS } from "../../../test/port/kwok-subject.ts";
import { contractFleetId, contractRequest } from "../../../test/port/provider.contract.ts";
import type { InstanceId } from "../../../schema/id.ts";
import type { KubeApi } from "../../kubernetes/api.ts";
import { openKwokFaults } from "./inject.ts";
import { openKwok } from "./kwok.ts";
import { parseSimFaults, SIM_FAULTS, SIM_FAULTS_MAX } from "./sim-fault.ts";
import { typesOf } from "./type.ts";

let kube: FakeKube;
let id: InstanceId;
let name: string;
beforeEach(async () => {
  const clock = new VirtualClock();
  kube = openFakeKube({ clock });
  kube.denied.delete("create nodes");
  const from = { name: "virtual", fleetId: contractFleetId, api: kube, clock, isTainted: true };
  const provider = openKwok({ ...from, types: typesOf(""), agents: NO_AGENTS });
  const request = contractRequest("n1", { instanceType: "dgxh100.80g" });
  const made = await provider.create(request, { nodeId: "n1", fence: 1, sessionId: null }, null);
  if (made.kind !== "ok") throw new Error(made.message);
  ({ id, name } = made.instance);
});

const fault = (key: string) => ({ kind: "thermal", gpu: 2, id: key, atMs: 7 }) as const;
const annotation = () => {
  const node = kube.get("nodes", "", name) as { metadata: { annotations: Record<string, string> } };
  return parseSimFaults(node.metadata.annotations[SIM_FAULTS]);
};

test("W56: a fault becomes an entry of the Node's annotation, once for one id", async () => {
  const faults = openKwokFaults(kube);
  expect(await faults.inject(id, fault("a"))).toEqual({ kind: "ok" });
  expect(await faults.inject(id, fault("a"))).toEqual({ kind: "ok" });
  await faults.inject(id, { kind: "xid", code: 79, gpu: 0, id: "b", atMs: 8 });
  const listed = await faults.list(id);
  expect(listed.kind === "ok" && listed.faults.map((one) => one.id)).toEqual(["a", "b"]);
  expect(annotation()).toEqual(
    listed.kind === "ok" ? { ok: true, faults: listed.faults } : ({} as never),
  );
  expect(await faults.clear(id)).toEqual({ kind: "ok" });
  expect(annotation()).toEqual({ ok: true, faults: [] });
});

test("W56: a write between the read and ours loses nothing", async () => {
  let others = 0;
  const busy: KubeApi = {
    ...kube,
    watch: kube.watch.bind(kube),
    close: () => undefined,
    async call(request) {
      if (request.verb === "patch" && others++ < 2) {
        await openKwokFaults(kube).inject(id, fault(`other-${others}`));
      }
      return kube.call(request);
    },
  };
  expect(await openKwokFaults(busy).inject(id, fault("mine"))).toEqual({ kind: "ok" });
  const read = annotation();
  expect(read.ok && read.faults.map((one) => one.id)).toEqual(["other-1", "other-2", "mine"]);
});

test("W56: another Node of the name, a gone one and a full one are left alone", async () => {
  const faults = openKwokFaults(kube);
  const other = `virtual/${name}/another-uid` as InstanceId;
  expect(await faults.inject(other, fault("a"))).toMatchObject({ kind: "absent" });
  expect(await faults.list("virtual/none/u" as InstanceId)).toMatchObject({ kind: "absent" });
  expect(await faults.clear("x" as InstanceId)).toMatchObject({ kind: "absent" });
  for (let i = 0; i < SIM_FAULTS_MAX; i++) await faults.inject(id, fault(`f${i}`));
  expect(await faults.inject(id, fault("more"))).toMatchObject({
    kind: "absent",
    message: expect.stringContaining("128 faults"),
  });
});
