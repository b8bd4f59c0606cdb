/** Names of worker pods: `<template's name or pool>-<5 of [a-z0-9]>`; namespaces of pools. */
import { trimEnd } from "../../../schema/trim.ts";
import type { AgentPool, Copy } from "./model.ts";

const LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789";
const LENGTH = 5;
/** A pod's host name has at most 63 characters. */
const BASE_MAX = 63 - LENGTH - 1;
/** 36^5 names: a hundred collisions in a row are a broken source of chance. */
const ATTEMPTS = 100;

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const metadataOf = ({ template }: AgentPool): Readonly<Record<string, unknown>> =>
  isRecord(template["metadata"]) ? template["metadata"] : {};

export function baseOf(pool: AgentPool): string {
  const { name } = metadataOf(pool);
  const base = typeof name === "string" && name !== "" ? name : pool.name;
  return trimEnd(base.slice(0, BASE_MAX), "-.");
}

/** `null`: no name is free. */
export function freeName(
  base: string,
  random: () => number,
  isTaken: (name: string) => boolean,
): string | null {
  for (let i = 0; i < ATTEMPTS; i++) {
    const tail = Array.from({ length: LENGTH }, () => LETTERS[Math.floor(random() * 36)] ?? "a");
    const name = `${base}-${tail.join("")}`;
    if (!isTaken(name)) return name;
  }
  return null;
}

/** Labels of the template, by which a pool that adopts knows its pods. */
export function labelsOf(pool: AgentPool): [string, string][] {
  const { labels } = metadataOf(pool);
  if (!isRecord(labels)) return [];
  return Object.entries(labels).flatMap(([key, value]) =>
    typeof value === "string" ? [[key, value]] : [],
  );
}

/** Why the part of a copy in this namespace is not current; `null` = it is. */
export function darkOf(
  { dark, darkIn }: Pick<Copy<unknown>, "dark" | "darkIn">,
  namespace: string,
): string | null {
  return dark ?? darkIn.get(namespace) ?? null;
}

/** Of a pool's key. */
export const namespaceOf = (key: string): string => key.slice(0, Math.max(0, key.indexOf("/")));
