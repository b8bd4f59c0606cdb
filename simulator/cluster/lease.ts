/** The lease by which a kubelet shows that its Node is alive. */
import type { FakeKube } from "./fake.ts";

export const LEASES = "kube-node-lease";

/** Renewed at this instant, in wall milliseconds; made if there is none. */
export function renewLease(kube: FakeKube, name: string, wallMs: number): void {
  // MicroTime, as leases have it.
  const renewTime = new Date(wallMs).toISOString().replace("Z", "000Z");
  const lease = { metadata: { name, namespace: LEASES }, spec: { renewTime } };
  if (kube.get("leases", LEASES, name) === undefined) kube.seed("leases", lease);
  else kube.person.edit("leases", LEASES, name, { spec: { renewTime } }, { manager: "kubelet" });
}
