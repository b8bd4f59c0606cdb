/**
 * Parses the machine identities of Node objects and of our nodes into a comparable form. Pure. None
 * of them is a name that a cloud reuses, unless its shape says so.
 *
 * Formats: `aws:///<zone>/<i-…>`, `gce://<project>/<zone>/<name>`, `azure:///subscriptions/…`,
 * `k3s://<hostname>` (cloud-provider documentation of each) and our own
 * `navarch://<provider>/<region>/<id>`, given to the kubelet as `--provider-id`.
 */

/** A parsed `spec.providerID`. */
export type ProviderClaim = {
  /** Identity of the instance in the form of `identityOf`. */
  id: string;
  /** The whole text, for adapters whose instance ids are the whole resource path. */
  whole: string;
  /** The cloud that sold it; `null` = the scheme does not show it. */
  family: string | null;
  /** Provider and region: only in our own scheme. */
  provider: string | null;
  region: string | null;
  /** Only in Google's scheme, where the last segment is a name that is unique within its zone. */
  zone: string | null;
  /** The id is a hostname: agreement is evidence, a difference is none. */
  weak: boolean;
};

const FAMILY: Readonly<Record<string, string>> = {
  aws: "aws",
  ec2: "aws",
  gce: "gcp",
  gcp: "gcp",
  google: "gcp",
  azure: "azure",
  lambda: "lambda",
  coreweave: "coreweave",
};

/** Distributions without a cloud controller use the hostname as the id. */
const HOSTNAME_SCHEMES: ReadonlySet<string> = new Set(["k3s", "rke2", "kind", "kwok"]);

/** `null` = not of the form `scheme://…`, or without a last segment. */
export function parseProviderId(text: string): ProviderClaim | null {
  const found = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/([^/]*)(?:\/(.*))?$/.exec(text.trim());
  if (found === null) return null;
  const scheme = (found[1] ?? "").toLowerCase();
  const authority = found[2] ?? "";
  const path = (found[3] ?? "").split("/").filter((part) => part !== "");
  const last = path.at(-1) ?? authority;
  if (last === "") return null;
  const claim: ProviderClaim = {
    id: identityOf(last),
    whole: text.trim(),
    family: FAMILY[scheme] ?? null,
    provider: null,
    region: null,
    zone: null,
    weak: HOSTNAME_SCHEMES.has(scheme),
  };
  switch (scheme) {
    case "navarch":
      // An instance id may contain slashes: it is everything after the region.
      claim.id = identityOf(knownAs(path.slice(1).join("/")));
      claim.provider = authority;
      claim.region = path[0] ?? null;
      return claim.id === "" ? null : claim;
    case "gce":
      claim.zone = path.length > 1 ? (path.at(-2) ?? null) : null;
      return claim;
    case "azure":
      claim.id = azureId(path);
      return claim;
    default:
      return claim;
  }
}

/**
 * The last segment of a scale set's member is a bare index; its instance is called
 * `<scale set>_<index>`. Azure's resource names ignore case.
 */
function azureId(path: readonly string[]): string {
  const at = path.findIndex((part) => part.toLowerCase() === "virtualmachinescalesets");
  const last = path.at(-1) ?? "";
  const set = at === -1 ? undefined : path[at + 1];
  return identityOf((set === undefined || set === last ? last : `${set}_${last}`).toLowerCase());
}

/** The cloud that a provider's name implies (`aws`, `gcp-eu`), or `null`. */
export function familyOf(provider: string | null): string | null {
  const first = provider?.toLowerCase().split(/[^a-z0-9]/)[0] ?? "";
  return FAMILY[first] ?? null;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Placeholder UUIDs of board makers, which thousands of machines share. */
const NO_UUIDS: ReadonlySet<string> = new Set(
  [
    "00000000-0000-0000-0000-000000000000",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "03000200-0400-0500-0006-000700080009",
    "12345678-1234-5678-90ab-cddeefaabbcc",
  ].map(identityOf),
);

/**
 * One spelling of an id. SMBIOS before 2.6 left the byte order of a UUID's first three groups open
 * (SMBIOS 3.7 §7.2.1), so a BIOS and a hypervisor may print the same one in two ways; both get the
 * same spelling here.
 */
export function identityOf(text: string): string {
  if (!UUID.test(text)) return text;
  const plain = text.toLowerCase();
  const [a = "", b = "", c = "", ...rest] = plain.split("-");
  const swapped = [swap(a), swap(b), swap(c), ...rest].join("-");
  return plain < swapped ? plain : swapped;
}

function swap(hex: string): string {
  return (hex.match(/../g) ?? []).reverse().join("");
}

/** `null` if it is no UUID or a placeholder. */
export function parseSystemUuid(text: string | null): string | null {
  if (text === null || !UUID.test(text.trim())) return null;
  const id = identityOf(text.trim());
  return NO_UUIDS.has(id) ? null : id;
}

const VIRTUAL = /^virtual\/([^/]+)\/[^/]+$/;

/**
 * Compute Engine's `ZONE/NAME/NUMBER` and the `virtual/NAME/UID` of a virtual node are the name to
 * Kubernetes; other ids stay as they are.
 */
export function knownAs(instanceId: string): string {
  const virtual = VIRTUAL.exec(instanceId)?.[1];
  if (virtual !== undefined) return virtual;
  return /^[a-z][a-z0-9-]*\/([a-z][a-z0-9-]*)\/[1-9][0-9]*$/.exec(instanceId)?.[1] ?? instanceId;
}

/** Two ids of different shapes can name the same machine; two of one shape cannot. */
export function shapeOf(id: string): "ec2" | "uuid" | "number" | "pool" | "name" {
  // Names the order for a machine (reconciler/provider/coreweave/node-pool.ts), not the machine.
  if (id.startsWith("nodepool/")) return "pool";
  if (/^i-[0-9a-f]{8,17}$/.test(id)) return "ec2";
  if (UUID.test(id)) return "uuid";
  return /^\d+$/.test(id) ? "number" : "name";
}
