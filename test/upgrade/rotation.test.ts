/**
 * The key that signs orders over its whole life, with a real agent and a real control plane: a
 * control plane that does not sign yet, a rotation, a key that is lost and derived again, and one
 * that nobody vouches for.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { generateKeyPairSync } from "node:crypto";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openReleaseKey } from "../../reconciler/security/release-key.ts";
import type { TrustView } from "../../schema/order.ts";
import { Middle } from "./proxy.ts";
import { buildAgent, cleanUp, Rig, Service, until } from "./rig.ts";

let old = "";
let young = "";
let rig: Rig;
let middle: Middle;
let service: Service;
const path = (name = "release-key.pem") => join(rig.state, name);
const fingerprint = () => openReleaseKey(path(), () => new Uint8Array()).key.fingerprint;
const trust = async () => (await (await rig.call("GET", "/trust")).json()) as TrustView;

beforeAll(async () => {
  old = await buildAgent("1.0.0");
  young = await buildAgent("1.1.0");
  rig = await new Rig().start();
  rig.release("1.1.0", young);
  middle = new Middle(() => rig.url);
}, 60_000);
afterAll(async () => {
  await service?.stop();
  await middle.stop();
  await rig.kill();
  cleanUp();
});

test("under a control plane that does not sign yet, reports go on and orders are passed over", async () => {
  // On the wire that is an older control plane: neither a key nor a signature.
  middle.attack = {
    reply: ({ order_key: _, ...said }) => ({
      ...said,
      commands: said.commands.map(({ signature: _, ...plain }) => plain),
    }),
  };
  service = new Service(old, middle, "n1");
  await rig.serves("n1", "1.0.0");
  await rig.call("POST", "/upgrade", { to: "1.1.0" });
  await rig.reaches("done", "n1", "refused");
  const node = (await rig.upgrade()).nodes.find((one) => one.node_id === "n1");
  expect(node?.why).toContain("a control plane older than this agent does not sign");
  expect(service.statuses).toEqual([]);
  await rig.serves("n1", "1.0.0");
}, 60_000);

test("once it signs, the agent learns the key by itself, and follows a rotation", async () => {
  middle.attack = {};
  const first = fingerprint();
  await until("the key is known", () => (service.log.includes(first) ? true : null));
  expect((await trust()).other_key.count).toBe(0);
  await rig.kill();
  writeFileSync(path("release-key.previous.pem"), readFileSync(path()));
  const { privateKey } = generateKeyPairSync("ed25519");
  writeFileSync(path(), privateKey.export({ type: "pkcs8", format: "pem" }));
  await rig.start();
  const second = fingerprint();
  expect(second).not.toBe(first);
  await until("the agent follows", () => {
    return service.log.includes("the control plane has a new key") ? true : null;
  });
  await rig.serves("n1", "1.0.0");
  expect((await trust()).key).toBe(second);
  await rig.call("POST", "/upgrade", { to: "1.1.0" });
  await rig.reaches("running", "n1", "upgraded");
  await rig.call("DELETE", "/upgrade", { rollback: true });
  await rig.reaches("rolled back", "n1", "back");
  expect(readFileSync(service.binary).equals(readFileSync(old))).toBe(true);
}, 90_000);

test("a lost key file is derived again; a key that nobody vouches for is found out, and orders nothing", async () => {
  await rig.kill();
  // The file of the rotation is gone, and with it the agent's key: what is derived is the first one.
  rmSync(path());
  rmSync(path("release-key.previous.pem"));
  expect(existsSync(join(rig.state, "identity.json"))).toBe(true);
  await rig.start();
  const derived = fingerprint();
  const log = service.log.length;
  const view = await until("it is found out", async () => {
    const now = await trust().catch(() => null);
    return now !== null && now.other_key.count === 1 ? now : null;
  });
  expect([view.key, view.other_key.nodes]).toEqual([derived, ["n1"]]);
  await until("the agent says so", () => {
    return service.log.slice(log).includes("presents another key than the stored one")
      ? true
      : null;
  });
  await rig.serves("n1", "1.0.0");
  await rig.call("POST", "/upgrade", { to: "1.1.0" });
  await rig.reaches("done", "n1", "refused");
  expect(readFileSync(service.binary).equals(readFileSync(old))).toBe(true);
  await rig.kill();
  rmSync(path());
  await rig.start();
  expect(fingerprint()).toBe(derived);
}, 90_000);
