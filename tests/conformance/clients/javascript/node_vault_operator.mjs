// node-vault for operators: opens a new server, lays out mounts, policies and logins, and closes it.

import assert from "node:assert/strict";
import connect from "node-vault";
import { at, refused, step } from "./steps.mjs";

const vault = connect({ endpoint: at.VAULT_ADDR });
const status = (error) => error.response.statusCode;
let keys;

await step("init, and only once", async () => {
  assert.equal((await vault.initialized()).initialized, false);
  const made = await vault.init({ secret_shares: 3, secret_threshold: 2 });
  assert.equal(made.keys.length, 3);
  [keys, vault.token] = [made.keys, made.root_token];
  await refused(vault.init({ secret_shares: 1, secret_threshold: 1 }), 400, status);
});

await step("unseal, share by share", async () => {
  assert.equal((await vault.unseal({ key: keys[0] })).progress, 1);
  assert.equal((await vault.unseal({ reset: true, key: keys[0] })).progress, 0);
  await vault.unseal({ key: keys[2] });
  assert.equal((await vault.unseal({ key: keys[1] })).sealed, false);
  assert.equal((await vault.health()).sealed, false);
  assert.ok("is_self" in (await vault.leader()) || "ha_enabled" in (await vault.leader()));
});

await step("mounts: enable, list, move, disable", async () => {
  await vault.mount({ mount_point: "team", type: "kv", options: { version: "1" }, description: "a team's" });
  assert.equal((await vault.mounts()).data["team/"].options.version, "1");
  await vault.write("team/app", { a: "1" });
  await vault.remount({ from: "team", to: "other" });
  assert.equal((await vault.read("other/app")).data.a, "1");
  await vault.unmount({ mount_point: "other" });
  await refused(vault.read("other/app"), 404, status);
  await vault.mount({ mount_point: "secret", type: "kv", options: { version: "2" } });
});

await step("policies: write, list, read, remove", async () => {
  const rules = 'path "secret/data/*" { capabilities = ["read"] }';
  await vault.addPolicy({ name: "reader", rules });
  assert.ok((await vault.policies()).data.policies.includes("reader"));
  assert.equal((await vault.getPolicy({ name: "reader" })).data.rules, rules);
  await vault.addPolicy({ name: "passing", rules });
  await vault.removePolicy({ name: "passing" });
  await refused(vault.getPolicy({ name: "passing" }), 404, status);
});

await step("AppRole: enable, roles, ids, login, destroy", async () => {
  const role = { role_name: "job" };
  await vault.enableAuth({ mount_point: "approle", type: "approle", description: "jobs" });
  assert.ok((await vault.auths()).data["approle/"]);
  await vault.addApproleRole({ ...role, policies: "reader", token_ttl: 1200 });
  assert.deepEqual((await vault.approleRoles()).data.keys, ["job"]);
  assert.deepEqual((await vault.getApproleRole(role)).data.token_policies, ["reader"]);
  await vault.updateApproleRoleId({ ...role, role_id: "fake-role-id" });
  const { role_id } = (await vault.getApproleRoleId(role)).data;
  const { secret_id, secret_id_accessor } = (await vault.getApproleRoleSecret({ ...role, metadata: '{"run":"7"}' })).data;
  assert.deepEqual((await vault.approleSecretAccessors(role)).data.keys, [secret_id_accessor]);
  assert.deepEqual((await vault.approleSecretLookup({ ...role, secret_id })).data.metadata, { run: "7" });
  assert.equal((await vault.approleSecretAccessorLookup({ ...role, secret_id_accessor })).data.secret_id_num_uses, 0);
  const job = connect({ endpoint: at.VAULT_ADDR });
  assert.equal((await job.approleLogin({ role_id, secret_id })).auth.lease_duration, 1200);
  await vault.approleSecretAccessorDestroy({ ...role, secret_id_accessor });
  await refused(job.approleLogin({ role_id, secret_id }), 400, status);
  await vault.deleteApproleRole(role);
  await refused(vault.getApproleRole(role), 404, status);
  await vault.disableAuth({ mount_point: "approle" });
});

await step("token roles and accessors", async () => {
  const operator = connect({ endpoint: at.VAULT_ADDR, token: vault.token }); // takes over the tokens that it makes
  await vault.addTokenRole({ role_name: "child", allowed_policies: "reader", orphan: true });
  assert.deepEqual((await vault.tokenRoles()).data.keys, ["child"]);
  assert.equal((await vault.getTokenRole({ role_name: "child" })).data.orphan, true);
  const { accessor } = (await operator.tokenCreateRole({ role_name: "child", policies: ["reader"] })).auth;
  assert.ok((await vault.tokenAccessors()).data.keys.includes(accessor));
  assert.equal((await vault.tokenLookupAccessor({ accessor })).data.orphan, true);
  await vault.tokenRevokeAccessor({ accessor });
  await refused(vault.tokenLookupAccessor({ accessor }), 400, status);
  await vault.removeTokenRole({ role_name: "child" });
});

await step("rotate, help, seal", async () => {
  await vault.rotate();
  assert.match((await vault.help("sys/policy")).help, /polic/i);
  await vault.seal();
  assert.equal((await vault.status()).sealed, true);
  await refused(vault.mounts(), 503, status);
});
