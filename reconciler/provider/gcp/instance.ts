/**
 * The body of an insert, and an instance as the API lists it (docs/reference/gce.md). The exact
 * tags are one metadata value, because labels hold neither capitals nor dots. Pure.
 */
import * as v from "valibot";
import type { CreateRequest, Instance, InstanceState, Notice } from "../../core/provider.ts";
import { mergeSettings } from "../../core/machine-setting.ts";
import { idOf, labelOf, lastOf, regionOf } from "./name.ts";
import { parseInstant } from "../../../schema/instant.ts";

export const FLEET = "navarch-fleet";
const TAGS = "navarch-tags";
const SCOPE = "https://www.googleapis.com/auth/cloud-platform";

/** Machine families with GPUs: they cannot be moved while they run. */
const GPU_FAMILY = /^(a2|a3|a4|a4x|g2|g4)-/;
/** They boot from Hyperdisk only. */
const HYPERDISK_FAMILY = /^(a3-ultragpu|a4|a4x|g4)-/;
/** A reservation of theirs ends with its machines. */
const BOUND_FAMILY = /^(a3-ultragpu|a4|a4x)-/;

export type MachineOptions = {
  project: string;
  /** A family (`projects/P/global/images/family/F`) or an image; `null` = refused. */
  image: string | null;
  network: string | null;
  subnet: string | null;
  diskGb: number | null;
  diskType: string | null;
  serviceAccount: string | null;
  externalIp: boolean;
};

const NOWHERE = { network: null, subnet: null };

/** With what a pool sets over them. */
export function optionsWith(
  options: MachineOptions,
  { settings }: Pick<CreateRequest, "settings">,
): MachineOptions {
  const { project, image, network, subnet, diskGb, diskType, serviceAccount, externalIp } = options;
  const given = { image, network, subnet, diskGb, diskType, serviceAccount, externalIp };
  // A pool that names a network or subnet has none of the provider's.
  const merged = mergeSettings(given, settings) as Partial<typeof given>;
  return { project, ...given, ...NOWHERE, ...merged };
}

/** `name` alone is an image of the project; `family/NAME` one of its families. */
export function imagePath(image: string, project: string): string {
  const path = image.replace(/^https:\/\/[^/]+\/compute\/v1\//, "");
  if (path.startsWith("projects/")) return path;
  if (path.startsWith("global/")) return `projects/${project}/${path}`;
  return `projects/${project}/global/images/${path}`;
}

export function insertBody(request: CreateRequest, zone: string, options: MachineOptions): object {
  const { name, instanceType, tags, sshKeys } = request;
  const { serviceAccount } = options;
  const items = [
    { key: TAGS, value: JSON.stringify(tags) },
    { key: "enable-guest-attributes", value: "TRUE" },
  ];
  // OS Login ignores the keys of the metadata.
  if (sshKeys.length > 0) {
    items.push({ key: "enable-oslogin", value: "FALSE" });
    items.push({ key: "ssh-keys", value: sshKeys.join("\n") });
  }
  const own = Object.entries(tags).filter(([key]) => key.startsWith("navarch-"));
  return {
    name,
    machineType: `zones/${zone}/machineTypes/${instanceType}`,
    labels: Object.fromEntries(own.map(([key, value]) => [key, labelOf(value)])),
    metadata: { items },
    disks: [diskOf(instanceType, zone, options)],
    networkInterfaces: [networkOf(zone, options)],
    ...(serviceAccount === null
      ? {}
      : { serviceAccounts: [{ email: serviceAccount, scopes: [SCOPE] }] }),
    ...placeOf(request),
  };
}

function diskOf(instanceType: string, zone: string, options: MachineOptions): object {
  const { image, project, diskGb, diskType } = options;
  const usual = HYPERDISK_FAMILY.test(instanceType) ? "hyperdisk-balanced" : "pd-balanced";
  const size = diskGb === null ? {} : { diskSizeGb: String(diskGb) };
  return {
    boot: true,
    autoDelete: true,
    initializeParams: {
      sourceImage: imagePath(image ?? "", project),
      diskType: `zones/${zone}/diskTypes/${diskType ?? usual}`,
      ...size,
    },
  };
}

function networkOf(zone: string, { network, subnet, externalIp }: MachineOptions): object {
  const path = (one: string, below: string) => (one.includes("/") ? one : `${below}/${one}`);
  const region = regionOf(zone);
  const named = {
    ...(network === null ? {} : { network: path(network, "global/networks") }),
    ...(subnet === null ? {} : { subnetwork: path(subnet, `regions/${region}/subnetworks`) }),
  };
  const access = { accessConfigs: [{ type: "ONE_TO_ONE_NAT", name: "External NAT" }] };
  const base = Object.keys(named).length > 0 ? named : { network: "global/networks/default" };
  return { ...base, ...(externalIp ? access : {}) };
}

/** A Spot VM that is only stopped would keep its disk and its name. */
function placeOf({ market, reservation, instanceType }: CreateRequest): object {
  const isFixed = GPU_FAMILY.test(instanceType) || market === "spot";
  const ended = isFixed ? { onHostMaintenance: "TERMINATE" } : {};
  switch (market) {
    case "on-demand":
      return isFixed ? { scheduling: ended } : {};
    case "spot": {
      const spot = { provisioningModel: "SPOT", instanceTerminationAction: "DELETE" };
      return { scheduling: { ...ended, ...spot, automaticRestart: false } };
    }
    case "reserved": {
      const bound = BOUND_FAMILY.test(instanceType)
        ? { provisioningModel: "RESERVATION_BOUND", instanceTerminationAction: "DELETE" }
        : {};
      const key = "compute.googleapis.com/reservation-name";
      const named = { consumeReservationType: "SPECIFIC_RESERVATION", key, values: [reservation] };
      return { scheduling: { ...ended, ...bound }, reservationAffinity: named };
    }
  }
}

const STATES = new Map<string, InstanceState>([
  ["PENDING", "provisioning"],
  ["PROVISIONING", "provisioning"],
  ["STAGING", "provisioning"],
  ["RUNNING", "running"],
  ["REPAIRING", "running"],
  ["PENDING_STOP", "terminating"],
  ["STOPPING", "terminating"],
  ["DEPROVISIONING", "terminating"],
  ["SUSPENDING", "stopped"],
  ["SUSPENDED", "stopped"],
  ["STOPPED", "stopped"],
  // It exists and its disks are billed.
  ["TERMINATED", "stopped"],
]);

const text = v.nullish(v.string(), "");
const Maintenance = v.object({ windowStartTime: text, maintenanceStatus: text, type: text });
export const InstanceBody = v.object({
  id: v.pipe(v.string(), v.regex(/^[1-9][0-9]{0,19}$/)),
  name: v.string(),
  zone: v.string(),
  machineType: v.string(),
  status: v.string(),
  creationTimestamp: text,
  labels: v.nullish(v.record(v.string(), v.string()), {}),
  metadata: v.nullish(
    v.object({ items: v.nullish(v.array(v.object({ key: v.string(), value: text })), []) }),
    null,
  ),
  networkInterfaces: v.nullish(
    v.array(
      v.object({
        networkIP: v.nullish(v.string(), null),
        accessConfigs: v.nullish(v.array(v.object({ natIP: v.nullish(v.string(), null) })), []),
      }),
    ),
    [],
  ),
  scheduling: v.nullish(v.object({ provisioningModel: text }), null),
  resourceStatus: v.nullish(v.object({ upcomingMaintenance: v.nullish(Maintenance, null) }), null),
});
export type InstanceBody = v.InferOutput<typeof InstanceBody>;

const Tags = v.record(v.string(), v.string());

/** Without our metadata value the labels tell whose the instance is. */
export function tagsOf({ metadata, labels }: InstanceBody): Record<string, string> {
  const value = metadata?.items.find(({ key }) => key === TAGS)?.value ?? "";
  try {
    const read = v.safeParse(Tags, JSON.parse(value));
    if (read.success) return read.output;
  } catch {
    // A person changed it.
  }
  return Object.fromEntries(Object.entries(labels).filter(([key]) => key.startsWith("navarch-")));
}

export function instanceOf(body: InstanceBody): Instance {
  const zone = lastOf(body.zone);
  const [nic] = body.networkInterfaces;
  const createdAtMs = parseInstant(body.creationTimestamp);
  // An unknown state never counts as gone.
  const state = STATES.get(body.status) ?? "running";
  return {
    id: idOf(zone, body.name, body.id),
    name: body.name,
    token: null,
    state,
    tags: tagsOf(body),
    region: regionOf(zone),
    zone,
    instanceType: lastOf(body.machineType),
    internalIp: nic?.networkIP ?? null,
    externalIp: nic?.accessConfigs[0]?.natIP ?? null,
    // Unknown counts as old: such an instance may have served.
    createdAtMs: createdAtMs > 0 ? createdAtMs : 0,
    pricePerHour: null,
    hostKeys: null,
    failure: null,
    notice: noticeOf(body),
  };
}

function noticeOf({ scheduling, status, resourceStatus }: InstanceBody): Notice | null {
  if (scheduling?.provisioningModel === "SPOT" && status === "STOPPING") {
    return { kind: "preemption", atMs: null, message: "the Spot VM is being stopped" };
  }
  const planned = resourceStatus?.upcomingMaintenance ?? null;
  if (planned === null) return null;
  const at = parseInstant(planned.windowStartTime);
  const when = planned.maintenanceStatus.toLowerCase() || "announced";
  const message = `${planned.type.toLowerCase() || "host"} maintenance is ${when}`;
  return { kind: "maintenance", atMs: at > 0 ? at : null, message };
}
