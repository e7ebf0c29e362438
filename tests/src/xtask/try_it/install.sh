# Typed by `cargo xtask try`; the argument is the folder with the files that are named here.
set -eux
files=$1
kubectl apply -f "$files/fake-otx.yaml"
kubectl --namespace soc create secret generic otx --from-file=api-key="$files/otx-key" --dry-run=client --output=yaml |
  kubectl apply -f -
helm upgrade --install threatrelay-operator charts/threatrelay-operator --namespace threatrelay-system --create-namespace \
  --set 'relay.allowedDestinations={fake-otx:8000}' --wait
kubectl --namespace soc rollout status deployment/fake-otx --timeout 1m
kubectl --namespace soc apply -f "$files/relay.yaml"
kubectl --namespace soc wait --for=condition=Ready threatrelay/otx --timeout 2m
kubectl --namespace soc get threatrelay otx
# The Ingress controller may need a moment for a new host.
curl --fail --silent --show-error --retry 10 --retry-all-errors --retry-delay 1 --config "$LOCAL_INGRESS" \
  --header "@$files/authorization" --header 'content-type: application/json' \
  --data '[{"type": "ip", "value": "203.0.113.31"}]' https://otx.soc.example/observe/observables
