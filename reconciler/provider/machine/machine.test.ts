/**
 * The cloud of machines over machines of words: it keeps the port's contract, boots each machine
 * once however often the control plane dies, and says of a machine what the machine is.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { InstanceId } from "../../../schema/id.ts";
import {
  contractFleetId,
  contractRequest,
  providerContract,
} from "../../../test/port/provider.contract.ts";
import type { Instance, Provider } from "../../core/provider.ts";
import { openFakeMachines } from "../../../test/fixture/cloud/machine-fake.ts";
import { openMachineProvider, type MachineProviderOptions } from "./machine.ts";
import { MACHINES_MAX } from "./place.ts";

const root = mkdtempSync(join(tmpdir(), "navarch-machines-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let folders = 0;
const folder = () => join(root, `bed-${(folders += 1)}`);

function steppedClock() {
  let nowMs = 1_000_000;
  return { wallMs: () => nowMs, after: () => {}, step: (ms: number) => void (nowMs += ms) };
}

function openTest(change: Partial<MachineProviderOptions> = {}) {
  const clock = steppedClock();
  const machines = openFakeMachines();
  const options: MachineProviderOptions = {
    name: "machine",
    stateDir: folder(),
    machines,
    bootDelayMs: 0,
    clock,
    random: () => 0.5,
    fleetId: contractFleetId,
    ...change,
  };
  return { options, clock, machines, provider: openMachineProvider(options) };
}

const FENCE = { nodeId: "n1", fence: 1, sessionId: null };

async function buy(provider: Provider, nodeId = "n1", credential: string | null = null) {
  const request = contractRequest(nodeId, { sshKeys: ["ssh-ed25519 mine"] });
  const answer = await provider.create(request, { ...FENCE, nodeId }, credential);
  if (answer.kind !== "ok") throw new Error(`not bought: ${JSON.stringify(answer)}`);
  return answer.instance.id;
}

async function listed(provider: Provider): Promise<Instance[]> {
  const answer = await provider.list();
  if (answer.kind !== "ok") throw new Error(JSON.stringify(answer));
  return answer.instances;
}

const states = async (provider: Provider) => (await listed(provider)).map(({ state }) => state);

providerContract(
  "openMachineProvider()",
  async () => {
    const { provider, clock } = openTest();
    return {
      provider,
      step: clock.step,
      setFaults: (faults) => provider.setFaults(faults),
      reality: () => provider.reality(),
      close: () => provider.close(),
    };
  },
  ["name"],
);

describe("openMachineProvider()", () => {
  test("boots what is bought with its name, keys and credential, and tells its host key", async () => {
    const { provider, machines } = openTest();
    const id = await buy(provider, "n1", "secret");
    expect(machines.boots).toEqual([id]);
    const order = { id, name: "f-train-n1-1", sshKeys: ["ssh-ed25519 mine"] };
    expect(machines.orders.get(id)).toEqual(order);
    expect(machines.credentials.get(id)).toBe("secret");
    expect(await listed(provider)).toMatchObject([
      { state: "running", internalIp: "192.0.2.10", hostKeys: ["ssh-ed25519 key-of-f-train-n1-1"] },
    ]);
    await provider.close();
  });

  test("boots nothing before its delay and nothing before there is something to boot", async () => {
    const { provider, machines, clock } = openTest({ bootDelayMs: 5_000 });
    machines.isReady = false;
    await buy(provider);
    clock.step(4_999);
    expect(await states(provider)).toEqual(["provisioning"]);
    machines.isReady = true;
    expect(await states(provider)).toEqual(["provisioning"]);
    clock.step(1);
    expect(await states(provider)).toEqual(["running"]);
    expect(machines.boots).toHaveLength(1);
    await provider.close();
  });

  test("a control plane that was killed and opened again boots and resets nothing twice", async () => {
    const { provider, machines, options } = openTest();
    const id = await buy(provider);
    expect(await provider.reboot(id, FENCE)).toEqual({ kind: "accepted" });
    await provider.close();
    const again = openMachineProvider(options);
    expect(await states(again)).toEqual(["running"]);
    expect(await buy(again)).toBe(id);
    expect({ boots: machines.boots, resets: machines.resets }).toEqual({
      boots: [id],
      resets: [id],
    });
    await again.close();
  });

  test("a control plane that died before the boot leaves it to the next one, with the keys", async () => {
    const { provider, machines, options } = openTest();
    machines.isReady = false;
    const id = await buy(provider);
    await provider.close();
    machines.isReady = true;
    const again = openMachineProvider(options);
    expect(await states(again)).toEqual(["running"]);
    expect(machines.orders.get(id)?.sshKeys).toEqual(["ssh-ed25519 mine"]);
    await again.close();
  });

  test("two control planes over one bed boot a machine once", async () => {
    const { provider, machines, options } = openTest();
    const other = openMachineProvider(options);
    const id = await buy(provider);
    expect(await buy(other)).toBe(id);
    expect(await states(other)).toEqual(["running"]);
    expect(machines.boots).toEqual([id]);
    await provider.close();
    await other.close();
  });

  test("list() shows a machine without power as stopped", async () => {
    const { provider, machines } = openTest();
    const id = await buy(provider);
    machines.set(id, { kind: "off" });
    expect(await states(provider)).toEqual(["stopped"]);
    await provider.reboot(id, FENCE);
    expect(await states(provider)).toEqual(["running"]);
    await provider.close();
  });

  test("list() shows a machine that somebody took away as terminated", async () => {
    const { provider, machines } = openTest();
    const id = await buy(provider);
    machines.set(id, { kind: "ending" });
    expect(await states(provider)).toEqual(["terminating"]);
    machines.set(id, { kind: "gone" });
    expect(await states(provider)).toEqual(["terminated"]);
    await provider.close();
  });

  test("a machine that does not come up stays provisioning, and a person is told once", async () => {
    const problems: string[] = [];
    const { provider, machines } = openTest({ problem: (message) => void problems.push(message) });
    machines.isReady = false;
    const id = await buy(provider);
    machines.set(id, { kind: "failed", why: "no room" });
    expect(await states(provider)).toEqual(["provisioning"]);
    expect(await states(provider)).toEqual(["provisioning"]);
    expect(problems).toEqual([`${id} does not boot: no room`]);
    await provider.terminate(id, FENCE);
    expect(await states(provider)).toEqual(["terminated"]);
    await provider.close();
  });

  test("terminate() is not over before nothing is left of the machine", async () => {
    const { provider, machines, clock } = openTest();
    const id = await buy(provider);
    const { end } = machines;
    machines.end = (which: InstanceId) => machines.set(which, { kind: "ending" });
    await provider.terminate(id, FENCE);
    clock.step(600_000);
    expect(await states(provider)).toEqual(["terminating"]);
    machines.end = end;
    expect(await states(provider)).toEqual(["terminated"]);
    clock.step(3_600_000);
    expect(await states(provider)).toEqual([]);
    expect(machines.look(id)).toEqual({ kind: "absent" });
    await provider.close();
  });

  test("create() refuses what this computer has no address for", async () => {
    const { provider } = openTest();
    for (let n = 0; n < MACHINES_MAX; n += 1) await buy(provider, `n${n}`);
    const fence = { ...FENCE, nodeId: "more" };
    const answer = await provider.create(contractRequest("more"), fence, null);
    expect(answer).toMatchObject({ kind: "refused", class: "quota" });
    expect(typeof (await buy(provider, "n7"))).toBe("string");
    await provider.close();
  });
});
