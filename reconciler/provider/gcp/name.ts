/**
 * How names and places of the port read at Compute Engine: ids, zones, labels and the request id
 * (docs/reference/gce.md#names). Pure.
 */
import { createHash } from "node:crypto";
import type { InstanceId } from "../../../schema/id.ts";

const NAME = /^[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?$/;
const INSTANCE = /^([a-z][-a-z0-9]*)\/([a-z][-a-z0-9]*)\/([1-9][0-9]{0,19})$/;
const ID_CHARS = 128;
const NUMBER_CHARS = 20;
const LABEL_CHARS = 63;
const FLEET_HEX = 12;

export const isName = (text: string): boolean => NAME.test(text);

/** The number is never used again, unlike the name; Kubernetes knows the machine by its name. */
export function idOf(zone: string, name: string, number: string): InstanceId {
  return `${zone}/${name}/${number}` as InstanceId;
}

export function fitsId(zone: string, name: string): boolean {
  return zone.length + name.length + NUMBER_CHARS + 2 <= ID_CHARS;
}

export function partsOf(id: InstanceId): { zone: string; number: string } | null {
  const [, zone, , number] = INSTANCE.exec(id) ?? [];
  return zone === undefined || number === undefined ? null : { zone, number };
}

/** `us-central1-a` is in `us-central1`. */
export const regionOf = (zone: string): string => zone.replace(/-[a-z0-9]+$/, "");

/** The last part of a resource's address. */
export const lastOf = (url: string): string => url.slice(url.lastIndexOf("/") + 1);

/** Labels have a small alphabet; the exact tags are in the metadata. */
export function labelOf(value: string): string {
  const label = value.toLowerCase().replace(/[^a-z0-9_-]/g, "-");
  return label.slice(0, LABEL_CHARS);
}

/**
 * The request id that the token makes: a UUID of version 8, which begins with the fleet's digest.
 * Operations carry it, so a later process recognises those of its fleet.
 */
export function requestIdOf(fleetId: string, token: string): string {
  const hex = fleetHex(fleetId) + digest(token).slice(0, 32 - FLEET_HEX);
  const parts = [hex.slice(0, 8), hex.slice(8, 12), `8${hex.slice(13, 16)}`];
  return [...parts, `8${hex.slice(17, 20)}`, hex.slice(20)].join("-");
}

export function isOfFleet(requestId: string, fleetId: string): boolean {
  return requestId.replaceAll("-", "").startsWith(fleetHex(fleetId));
}

const fleetHex = (fleetId: string): string => digest(fleetId).slice(0, FLEET_HEX);
const digest = (text: string): string => createHash("sha256").update(text).digest("hex");
