SELECT deployment, task, contract FROM deployments ORDER BY deployment
