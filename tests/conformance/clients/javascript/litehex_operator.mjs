// @litehex/node-vault for operators: opens a new server, mounts an engine and tunes it.

import assert from "node:assert/strict";
import { Client } from "@litehex/node-vault";
import { at, step } from "./steps.mjs";

const vault = new Client({ endpoint: at.VAULT_ADDR });
const got = ({ data, error }) => {
  assert.equal(error, undefined);
  return data;
};
let keys;

await step("init", async () => {
  const made = got(await vault.init({ secret_shares: 1, secret_threshold: 1 }));
  [keys, vault.token] = [made.keys, made.root_token];
  assert.ok((await vault.init({ secret_shares: 1, secret_threshold: 1 })).error);
});

await step("unseal", async () => {
  await vault.unseal({ key: keys[0] });
  assert.equal(got(await vault.mounts()).data["sys/"].type, "system");
});

await step("mount, write, read, unmount", async () => {
  const app = { mountPath: "team", path: "app" };
  assert.equal(got(await vault.mount({ mountPath: "team", type: "kv", options: { version: "1" } })), true);
  assert.equal(got(await vault.engineInfo({ mountPath: "team" })).options.version, "1");
  got(await vault.kv.write({ ...app, data: { a: "1" } }));
  assert.equal(got(await vault.kv.read(app)).data.a, "1");
  assert.equal(got(await vault.unmount({ mountPath: "team" })), true);
  assert.ok((await vault.kv.read(app)).error);
});

await step("seal", async () => {
  got(await vault.seal());
  assert.match((await vault.mounts()).error.message, /sealed/i);
});
