/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The figures, as ratios measured in one run: see README.md.
 *
 *   node bench/bench.mjs [--quick] [NAME ...]
 *
 * prints a table and writes build/bench.json.  A figure that cannot be
 * measured is reported so; a budget that is missed is no failure of the run.
 */

import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import { consumer } from './consumer.mjs';
import { aiCall, lease, memory, startUp } from './costs.mjs';
import { longThreads, threadsStored } from './growth.mjs';
import { starts, turns, twoWorkers, webhooks } from './rates.mjs';
import { HERE, THEIRS, endAll, median, said } from './world.mjs';

const FIGURES = {
    call: aiCall,
    turns,
    webhook: webhooks,
    start: starts,
    memory,
    lease,
    consumer,
    long: longThreads,
    many: threadsStored,
    workers: twoWorkers,
    startup: startUp,
};

const QUICK = {
    rounds: 3, seconds: 1, starts: 2000, inFlight: 1000, samples: 25,
    long: 10_000, many: 50_000, projects: 2000, messages: 1000,
};

const FULL = {
    rounds: 3, seconds: 3, starts: 10_000, inFlight: 9000, samples: 40,
    long: 10_000, many: 1_000_000, projects: 10_000, messages: 4000,
};


/* the ratio that the budget is about, and whether it is met */
function judge(f) {
    if (f.ours.length === 0
        || (f.others.length === 0 && f.against !== 'budget, absolute'
            && f.unit !== 's'))
    {
        return { ...f, verdict: 'not measured' };
    }

    const value = median(f.ours);
    const other = f.others.length > 0 ? median(f.others) : null;
    const ratio = other === null ? null : median(f.ours.map((o, i) =>
        (f.better === 'faster' ? f.others[i] / o : o / f.others[i])));
    const judged = ratio ?? value;
    const met = (f.better === 'low' ? judged <= f.budget : judged >= f.budget)
        && (f.limit === undefined || value <= f.limit);

    return { ...f, value, other, ratio, verdict: met ? 'met' : 'MISSED' };
}


function number(n, unit) {
    if (n === null || n === undefined) {
        return '';
    }

    return (n >= 100 ? n.toFixed(0) : n.toPrecision(3)) + ` ${unit}`;
}


function line(f) {
    const sign = f.better === 'low' ? '<=' : '>=';
    const budget = `${sign} ${f.budget}`
        + (f.ratio === null ? ` ${f.unit}` : 'x');

    return [f.figure, f.against, number(f.value, f.unit),
        number(f.other, f.unit),
        f.ratio == null ? '' : `${f.ratio.toPrecision(3)}x`, budget,
        f.verdict];
}


function table(results) {
    const lines = [['figure', 'against', 'ours', 'other', 'ratio', 'budget',
        ''], ...results.map(line)];
    const widths = lines[0].map((_, i) =>
        Math.max(...lines.map((l) => l[i].length)));

    return lines.map((l) => l.map((text, i) => (i < 2 || i > 5
        ? text.padEnd(widths[i]) : text.padStart(widths[i])))
        .join('  ').trimEnd()).join('\n');
}


const args = process.argv.slice(2);
const quick = args.includes('--quick');
const names = args.filter((a) => !a.startsWith('-'));
const chosen = names.length > 0 ? names : Object.keys(FIGURES);
const unknown = [...args.filter((a) => a.startsWith('-') && a !== '--quick'),
    ...names.filter((n) => !(n in FIGURES))];

if (unknown.length > 0) {
    console.error(`bench: ${unknown.join(', ')}? There are --quick and `
        + Object.keys(FIGURES).join(', '));
    process.exit(2);
}

await said('taskset', ['-pc', THEIRS, String(process.pid)]);

const results = [];
let broken = 0;

for (const name of chosen) {
    const began = Date.now();

    try {
        for (const f of await FIGURES[name](quick ? QUICK : FULL)) {
            results.push(judge(f));
        }
    } catch (err) {
        broken++;
        console.error(`bench: ${name} could not be measured: ${err.stack}`);
        await endAll();
    }

    console.error(`bench: ${name} took `
        + `${((Date.now() - began) / 1000).toFixed(0)} s`);
}

console.log(table(results));
console.log();

for (const f of results.filter((one) => one.note)) {
    console.log(`${f.figure} (${f.against}): ${f.note}`);
}

const out = path.join(HERE, '../build/bench.json');

fs.mkdirSync(path.dirname(out), { recursive: true });
fs.writeFileSync(out, JSON.stringify({
    at: new Date().toISOString(), mode: quick ? 'quick' : 'full',
    cpu: os.cpus()[0].model, cores: os.cpus().length, node: process.version,
    results,
}, null, 2) + '\n');

/* what a failed figure has left open does not keep the program */
process.exit(broken > 0 ? 1 : 0);
