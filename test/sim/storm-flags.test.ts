import { describe, expect, it } from 'vitest';
import { UsageError } from '../../bench/bench-flags.ts';
import { parseFault, parseStormFlags } from '../../bench/storm/storm-flags.ts';

describe('command line of the storm benchmark', () => {
  it('has the defaults of the figures table', () => {
    const { storm, policies } = parseStormFlags([])!;
    expect(policies).toEqual(['bootswarm']);
    expect(storm).toMatchObject({
      nodes: 100,
      vmsPerNode: 1,
      thinkScale: 0.2,
      arrivalMs: 1_000,
      nic: 125_000,
      originNic: 125_000,
      latencyMs: 0.2,
      betweenZones: Infinity,
      pieceLength: 65_536,
      isLearned: true,
      isKnownBefore: true,
      layerFrom: 'swarm',
      faults: [],
      seed: 1,
    });
    expect(storm.trace.name).toBe('debian12-minimal');
  });

  it('takes every option', () => {
    const flags =
      '--nodes 7 --vms-per-node 3 --think 1 --arrival 0 --full-image 1000000 --mbit 10 --origin-mbit 20 ' +
      '--latency 1 --zones 2 --zone-mbit 5 --piece 16384 --learned no --known no --layer tracker --until 9 --seed 4';
    const { storm } = parseStormFlags(flags.split(' '))!;
    expect(storm).toMatchObject({
      nodes: 7,
      vmsPerNode: 3,
      thinkScale: 1,
      arrivalMs: 0,
      fullImageBytes: 1e6,
      nic: 1_250,
      originNic: 2_500,
      latencyMs: 1,
      zones: 2,
      betweenZones: 625,
      pieceLength: 16_384,
      isLearned: false,
      isKnownBefore: false,
      layerFrom: 'tracker',
      untilMs: 9_000,
      seed: 4,
    });
  });

  it('gives real programs what a simulated storm has, of an image never seen', () => {
    const flags =
      '--real --policy bootswarm --nodes 7 --vms-per-node 3 --think 1 --arrival 2 --mbit 10 --origin-mbit 20 ' +
      '--trace synthetic:1:8 --piece 131072 --known no --seed 4';
    const { real, given } = parseStormFlags(flags.split(' '))!;
    expect(real).toEqual({
      trace: 'synthetic:1:8',
      nodes: 7,
      vmsPerNode: 3,
      thinkScale: 1,
      arrivalMs: 2_000,
      mbit: 10,
      originMbit: 20,
      pieceLength: 131_072,
      isKnownBefore: false,
      seed: 4,
    });
    expect(given).toMatchObject({ real: true, learned: 'no', nodes: '7' });
    expect(Object.keys(given)).not.toContain('latency');
    expect(parseStormFlags([])!.real).toBeUndefined();
  });

  it('takes policies one by one, with commas, or all', () => {
    const policies = (...flags: string[]) => parseStormFlags(flags)!.policies;
    expect(policies('--policy', 'tree', '--policy', 'copy')).toEqual(['tree', 'copy']);
    expect(policies('--policy', 'central,tree')).toEqual(['central', 'tree']);
    expect(policies('--policy', 'all')).toHaveLength(5);
  });

  it.each([
    ['freeze', { kind: 'freeze', share: 0.1, atMs: 500, forMs: Infinity }],
    ['slow', { kind: 'slow', share: 0.3, atMs: Number.NEGATIVE_INFINITY }],
    ['restart-empty:0.2@1.5', { kind: 'restart-empty', share: 0.2, atMs: 1_500, forMs: 1_000 }],
    ['partition:0.5@1+0.25', { kind: 'partition', share: 0.5, atMs: 1_000, forMs: 250 }],
    ['tracker-dead@3', { kind: 'tracker-dead', atMs: 3_000 }],
  ])('takes the fault %s', (text, fault) => {
    expect(parseFault(text)).toMatchObject(fault);
  });

  it.each([
    ['--nodes 0', '--nodes 0'],
    ['--nodes many', '--nodes many'],
    ['--policy raid', 'central'],
    ['--learned maybe', 'yes or no'],
    ['--layer origin', 'swarm or tracker'],
    ['--fault fire', 'kinds: dead'],
    ['--fault crash:2', 'from 0 to 1'],
    ['--fault tracker-dead:0.5', 'of nodes'],
    ['--fault crash@1..2', 'KIND[:SHARE'],
    ['--fault crash:0.1.2', 'KIND[:SHARE'],
    ['--fault crash:. --nodes 4', 'KIND[:SHARE'],
    ['--fault crash:0.6 --fault dead:0.5', 'more than all'],
    ['--fault crash:0.6 --fault dead:0.4', 'leave no node'],
    ['--piece 70000', 'power of two'],
    ['--piece 8192', 'power of two'],
    ['--piece 33554432', 'power of two'],
    ['--full-image 1000000000000 --piece 65536', 'pieces: give a longer --piece'],
    ['--json /nowhere/result.json', '--json /nowhere/result.json cannot be written'],
    ['--json /', '--json / cannot be written: / is a directory'],
    ['--svg /nowhere/result.svg', '--svg /nowhere/result.svg cannot be written'],
    ['--trace package.json', 'not a boot trace'],
    ['--fault crash --policy tree', 'bootswarm and bittorrent'],
    ['--full-image 100 --policy central', 'central and tree'],
    ['--trace nowhere.json', 'nowhere.json'],
    ['--speed 3', '--speed'],
    ['--real --policy central', '--policy central is for the simulator'],
    ['--real --policy all', '--policy all is for the simulator'],
    ['--real --zones 2', '--zones is for the simulator'],
    ['--real --zone-mbit=10', '--zone-mbit is for the simulator'],
    ['--real --fault crash', '--fault is for the simulator'],
    ['--real --full-image 1000000', '--full-image is for the simulator'],
    ['--real --latency 1', '--latency is for the simulator'],
    ['--real --layer tracker', '--layer is for the simulator'],
    ['--real --until 10', '--until is for the simulator'],
    ['--real --svg out.svg', '--svg is for the simulator'],
    ['--real --learned yes', '--learned yes is for the simulator'],
  ])('says what is wrong with %s', (flags, said) => {
    const parse = () => parseStormFlags(flags.split(' '));
    expect(parse).toThrow(UsageError);
    expect(parse).toThrow(said);
  });
});
